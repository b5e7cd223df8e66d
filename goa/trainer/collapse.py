"""When a policy has collapsed."""

from pydantic import Field

from goa.settings import Settings


class CollapseSettings(Settings):
    """What is a collapse: the best policy is taken back then, and the learning rate halved."""

    score: float = Field(0.5, ge=0.0, lt=1.0)
    """The validation score has fallen below this share of the best."""
    entropy: float = Field(0.05, ge=0.0, lt=1.0)
    """Entropy has fallen below this share of what it was at the first look."""
    restorations: int = Field(3, ge=0)
    """How often the policy is taken back before the phase ends."""


def find_collapse(
    settings: CollapseSettings,
    *,
    score: tuple[float, float],
    entropy: tuple[float | None, float | None],
) -> str | None:
    """Say in words how a policy has collapsed; None: it has not.

    Args:
        settings: the thresholds.
        score: the validation score now, and the best one.
        entropy: nats per token now, and at the first look; None where it is not measured.
    """
    now, best = score
    if best > 0.0 and now < settings.score * best:
        return f"the validation score fell from {best:.4f} to {now:.4f}"
    undecided, first = entropy
    if undecided is not None and first is not None and undecided < settings.entropy * first:
        return f"entropy fell from {first:.4f} to {undecided:.4f} nats per token"
    return None
