"""Maximum likelihood."""

from typing import Literal

from pydantic import Field

from goa.objectives.contract import Batch, Loss, OverTokens
from goa.settings import Settings


class LikelihoodSettings(Settings):
    """Cross-entropy of the references."""

    kind: Literal["likelihood"]
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the target mass spread evenly over the vocabulary (Szegedy et al., 2016)."""


class Likelihood(OverTokens):
    """Token-level cross-entropy with label smoothing e.

    ``loss = sum_t -[(1 - e) log p(y_t | y_<t, x) + e mean_v log p(v | y_<t, x)]``, weight: tokens.
    """

    def __init__(self, settings: LikelihoodSettings) -> None:
        self.label_smoothing = settings.label_smoothing

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss; rewards are not looked at."""
        chosen, spread = batch.log_probs.sum(), batch.mean_log_probs.sum()
        loss = -(1 - self.label_smoothing) * chosen - self.label_smoothing * spread
        nll = (-float(chosen.detach()), float(batch.mask.sum()))
        return Loss(sum=loss, diagnostics={"nll": nll})
