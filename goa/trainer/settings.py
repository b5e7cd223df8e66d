"""Settings of training runs."""

from typing import Literal

from pydantic import Field, model_validator

from goa.decoding.settings import GenerateSettings, SampleSettings
from goa.errors import SettingsError
from goa.objectives.likelihood import LikelihoodSettings
from goa.objectives.table import ObjectiveSettings
from goa.settings import Settings


class OptimiserSettings(Settings):
    """AdamW (Loshchilov and Hutter, 2019), one step an update."""

    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    """The highest, reached after the warm-up."""
    warmup_updates: int = Field(0, ge=0)
    schedule: Literal["constant", "linear", "inverse_sqrt"] = "constant"
    """After the warm-up: stay, fall to 0 at the last update, or fall as 1 / sqrt(update)."""
    betas: list[float] = Field([0.9, 0.98], min_length=2, max_length=2)
    """Decay of the running means of the gradient and of its square."""
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    max_grad_norm: float = Field(1.0, gt=0.0)
    """Gradients are scaled down to this Euclidean norm."""
    tokens_per_pass: int = Field(8192, ge=1)
    """Target tokens, padding included, in one forward and backward pass: bounds the memory, and
    changes the gradient only in the last bits."""


class ValidationSettings(Settings):
    """When to look at the validation split, on how much of it, and when to stop."""

    every: int = Field(100, ge=1)
    """Updates between two looks; each also writes a checkpoint."""
    num_sources: int | None = Field(None, ge=1)
    """Sources looked at, from the first; none named means all."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many looks without a better one; none named means never."""


class PretrainSettings(Settings):
    """Maximum likelihood on the training references."""

    epochs: int = Field(10, ge=1)
    sources_per_update: int = Field(64, ge=1)
    objective: LikelihoodSettings = LikelihoodSettings(kind="likelihood")
    optimiser: OptimiserSettings = OptimiserSettings()
    validation: ValidationSettings = ValidationSettings()


class FinetuneSettings(Settings):
    """Raising the expected score of what the policy writes."""

    rounds: int = Field(200, ge=1)
    """Generate, score, update: so many times."""
    sources_per_round: int = Field(48, ge=1)
    candidates: SampleSettings = SampleSettings(kind="sample")
    """How candidates are drawn in every round after the first, which learns from the pool."""
    skip_silent_sources: bool = True
    """Leave out sources whose candidates in the pool all earn the same."""
    objective: ObjectiveSettings
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)
    validation: ValidationSettings = ValidationSettings(every=20)

    @model_validator(mode="after")
    def _baseline_has_its_candidates(self) -> "FinetuneSettings":
        one = self.candidates.num_candidates == 1
        if one and getattr(self.objective, "baseline", None) in ("mean", "leave_one_out"):
            raise ValueError("this baseline needs candidates.num_candidates of 2 or more")
        return self

    def check_pool(self, pool: GenerateSettings) -> None:
        """Check that the pool holds what the first round learns from.

        Raises:
            SettingsError: the baseline is greedy, and the pool has no greedy outputs.
        """
        if getattr(self.objective, "baseline", None) == "greedy" and not pool.names("greedy"):
            raise SettingsError(
                "finetune.objective.baseline is greedy, but generate.strategies has no strategy of "
                "kind greedy; add greedy: {kind: greedy}"
            )
