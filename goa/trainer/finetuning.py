"""Settings of fine-tuning; apart, so that changing an objective leaves pretraining as it is."""

from typing import Annotated

from pydantic import Field, model_validator

from goa.decoding.settings import GenerateSettings, SampleSettings
from goa.errors import SettingsError
from goa.objectives.table import ObjectiveSettings
from goa.settings import Settings
from goa.trainer.settings import DivergenceSettings, OptimiserSettings, ValidationSettings


class RampSettings(Settings):
    """A number that moves in a straight line and then stays."""

    start: float = Field(ge=0.0)
    """In the first round."""
    end: float = Field(ge=0.0)
    """From the round ``rounds`` on."""
    rounds: int = Field(ge=1)

    def at(self, update: int) -> float:
        """Give the number after so many updates."""
        return self.start + (self.end - self.start) * min(1.0, update / self.rounds)


class FinetuneSettings(Settings):
    """Raising the expected score of what the policy writes."""

    rounds: int = Field(200, ge=1)
    """Generate, score, update: so many times."""
    sources_per_round: int = Field(48, ge=1)
    candidates: SampleSettings = SampleSettings(kind="sample")
    """How candidates are drawn in every round after the first, which learns from the pool."""
    skip_silent_sources: bool = True
    """Leave out sources whose candidates in the pool all earn the same."""
    steps_per_round: int = Field(1, ge=1, le=1000)
    """Steps of the optimiser on each round's candidates."""
    objective: ObjectiveSettings
    divergence: DivergenceSettings = DivergenceSettings()
    likelihood_weight: Annotated[float, Field(ge=0.0)] | RampSettings = 0.0
    """What the likelihood of a reference of each source weighs beside the objective."""
    entropy_weight: float = Field(0.0, ge=0.0)
    """What a nat of entropy per token is worth in the loss."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)
    validation: ValidationSettings = ValidationSettings(every=20)

    @model_validator(mode="after")
    def _baseline_has_its_candidates(self) -> "FinetuneSettings":
        one = self.candidates.num_candidates == 1
        if one and getattr(self.objective, "baseline", None) not in ("none", "greedy"):
            raise ValueError(
                "this objective or baseline compares the candidates of a source: it needs "
                "candidates.num_candidates of 2 or more"
            )
        return self

    def likelihood_weight_at(self, update: int) -> float:
        """Give the weight of the likelihood after so many updates."""
        weight = self.likelihood_weight
        return weight.at(update) if isinstance(weight, RampSettings) else weight

    @property
    def learns_from_references(self) -> bool:
        """Whether the likelihood is mixed in."""
        return self.likelihood_weight != 0.0

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
