"""Settings that every training run has, those of pretraining, and of parts of fine-tuning."""

from typing import Literal

from pydantic import Field, model_validator

from goa.errors import SettingsError
from goa.objectives.likelihood import LikelihoodSettings
from goa.settings import Settings


class OptimiserSettings(Settings):
    """AdamW (Loshchilov and Hutter, 2019), one step an update."""

    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    """The highest, reached after the warm-up."""
    warmup_updates: int = Field(0, ge=0)
    """Updates in which the learning rate rises from 0."""
    schedule: Literal["constant", "linear", "inverse_sqrt"] = "constant"
    """After the warm-up: stay, fall to 0 at the last update, or fall as 1 / sqrt(update)."""
    betas: list[float] = Field([0.9, 0.98], min_length=2, max_length=2)
    """Decay of the running means of the gradient and of its square."""
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    """Share of each weight that is taken off an update, times the learning rate."""
    max_grad_norm: float = Field(1.0, gt=0.0)
    """Gradients are scaled down to this Euclidean norm."""
    tokens_per_pass: int = Field(8192, ge=1, le=1_000_000_000)
    """Target tokens, padding included, in one forward and backward pass: bounds the memory, and
    changes the gradient only in the last bits."""


class DivergenceSettings(Settings):
    """The price of moving away from the pretrained policy; the divergence is measured always."""

    weight: float = Field(0.0, ge=0.0)
    """Per nat of divergence from the pretrained policy, in units of reward."""
    where: Literal["reward", "loss"] = "reward"
    """Whether it is taken from the reward of each candidate or added to the loss."""
    target: float | None = Field(None, gt=0.0)
    """Nats per candidate that the weight is steered to (Ziegler et al., 2019, section 2.2); none
    named means the weight stays."""

    @model_validator(mode="after")
    def _there_is_something_to_steer(self) -> "DivergenceSettings":
        if self.target is not None and self.weight == 0.0:
            raise ValueError(
                "target is reached by raising and lowering the weight, which cannot leave 0; "
                "give weight a start above 0"
            )
        return self


class ValidationSettings(Settings):
    """When to look at the validation split, on how much of it, and when to stop."""

    every: int = Field(100, ge=1)
    """Updates between two looks; each also writes a checkpoint."""
    num_sources: int | None = Field(None, ge=1)
    """Sources looked at, from the first; none named means all."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many looks without a better one; none named means never."""


class GuardingSettings(Settings):
    """When a guard counts as worse than at the start."""

    significance: float = Field(0.05, gt=0.0, lt=1.0)
    """Where the p-value of its fall, by the paired bootstrap, is below this."""
    resamples: int = Field(1000, ge=1, le=1_000_000)
    """Bootstrap resamples of the validation sources behind each p-value."""


class PretrainSettings(Settings):
    """Maximum likelihood on the training references."""

    epochs: int = Field(10, ge=1, le=1_000_000)
    """Times that every training pair is learnt from."""
    sources_per_update: int = Field(64, ge=1, le=1_000_000)
    """Of all processes together."""
    objective: LikelihoodSettings = LikelihoodSettings(kind="likelihood")
    optimiser: OptimiserSettings = OptimiserSettings()
    validation: ValidationSettings = ValidationSettings()

    def check_team(self, size: int) -> None:
        """Check that so many processes can share the work.

        Raises:
            SettingsError: some would have no sources in the last update of an epoch.
        """
        if size > 1 and self.sources_per_update < 2 * size:
            raise SettingsError(
                f"pretrain.sources_per_update is {self.sources_per_update}: too few for {size} "
                f"processes; make it {2 * size} or more, or lower compute.processes.pretrain"
            )


class EvolutionSettings(Settings):
    """Perturb all trained weights at once, and go where the reward was higher."""

    kind: Literal["evolution"]
    num_pairs: int = Field(8, ge=1, le=100_000)
    """Perturbations a round, each tried in both directions."""
    sigma: float = Field(0.01, gt=0.0)
    """Standard deviation of a perturbation, in units of the weights."""
    ranked: bool = True
    """Learn from the ranks of rewards, not from their sizes."""


class PerturbationSettings(Settings):
    """Steps along the sign of the loss's gradient, taken by the embeddings of sources' tokens.

    Goodfellow et al. (2015, section 4); of embeddings, Miyato et al. (2017).
    """

    share: float = Field(0.5, gt=0.0, le=1.0)
    """Share of the sources of a step that are perturbed."""
    size: float = Field(0.05, gt=0.0)
    """Of each coordinate's change, as a share of the root mean square of the token's embedding."""
