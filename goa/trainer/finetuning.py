"""Settings of fine-tuning; apart, so that changing an objective leaves pretraining as it is."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, model_validator

from goa.decoding.settings import BeamSettings, GenerateSettings, SampleSettings
from goa.errors import SettingsError
from goa.objectives.contract import Need
from goa.objectives.credit import CreditSettings, UniformCreditSettings
from goa.objectives.head import HeadSettings
from goa.objectives.mixer import MixerSettings
from goa.objectives.ramp import RampSettings
from goa.objectives.table import ObjectiveSettings, build_objective
from goa.policies.adapter import AdapterSettings
from goa.settings import Settings
from goa.trainer.settings import DivergenceSettings, OptimiserSettings, ValidationSettings

CandidateSettings = Annotated[SampleSettings | BeamSettings, Field(discriminator="kind")]


class FinetuneSettings(Settings):
    """Raising the expected score of what the policy writes."""

    rounds: int = Field(200, ge=1)
    """Generate, score, update: so many times."""
    sources_per_round: int = Field(48, ge=1)
    candidates: CandidateSettings = SampleSettings(kind="sample")
    """How candidates are written in every round after the first, which learns from the pool. A
    beam's are no draws: only mrt, margin, best_of_n and dpo can learn from them."""
    with_reference: bool = False
    """Put a reference among each source's candidates; for the same objectives."""
    skip_silent_sources: bool = True
    """Leave out sources whose candidates in the pool all earn the same."""
    steps_per_round: int = Field(1, ge=1, le=1000)
    """Steps of the optimiser on each round's candidates."""
    objective: ObjectiveSettings
    credit: CreditSettings = UniformCreditSettings(kind="uniform")
    """How a candidate's reward reaches its tokens."""
    critic: HeadSettings = HeadSettings()
    """What ppo and the baseline of that name learn beside the policy."""
    divergence: DivergenceSettings = DivergenceSettings()
    likelihood_weight: Annotated[float, Field(ge=0.0)] | RampSettings = 0.0
    """What the likelihood of a reference of each source weighs beside the objective."""
    entropy_weight: float = Field(0.0, ge=0.0)
    """What a nat of entropy per token is worth in the loss."""
    adapter: AdapterSettings | None = None
    """Train low-rank adapters alone; none named means all weights."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)
    validation: ValidationSettings = ValidationSettings(every=20)

    @model_validator(mode="after")
    def _draws_where_draws_are_needed(self) -> "FinetuneSettings":
        if "draws" in self.needs and (self.candidates.kind == "beam" or self.with_reference):
            raise ValueError(
                f"{self.objective.kind} learns from the policy's own draws: beams and references "
                "would mislead it; use candidates of kind sample and with_reference: false, or one "
                "of mrt, margin, best_of_n, dpo"
            )
        return self

    @model_validator(mode="after")
    def _candidates_can_be_compared(self) -> "FinetuneSettings":
        baseline = getattr(self.objective, "baseline", None)
        alone = baseline in {"none", "greedy", "critic"} or self.objective.kind == "ppo"
        if self.candidates.num_candidates + self.with_reference == 1 and not alone:
            raise ValueError(
                "this objective or baseline compares the candidates of a source: it needs "
                "candidates.num_candidates of 2 or more"
            )
        return self

    @model_validator(mode="after")
    def _credit_reaches_tokens(self) -> "FinetuneSettings":
        if self.credit.kind == "uniform":
            return self
        if self.objective.kind not in {"reinforce", "grpo", "ppo", "mixer"}:
            raise ValueError(
                f"{self.objective.kind} looks at whole candidates: credit can only be uniform"
            )
        if self.credit.kind == "reward_to_go" and "greedy" in self.needs:
            raise ValueError(
                "the greedy baseline is one number for the whole output; with reward_to_go take "
                "leave_one_out, mean, critic or none"
            )
        return self

    @property
    def needs(self) -> frozenset[Need]:
        """What the objective asks for."""
        return build_objective(self.objective).needs

    def likelihood_weight_at(self, update: int) -> float:
        """Give the weight of the likelihood after so many updates."""
        weight = self.likelihood_weight
        return weight.at(update) if isinstance(weight, RampSettings) else weight

    @property
    def prefix_share(self) -> Callable[[int], float] | None:
        """Share of the reference that candidates begin with, by round, where they do."""
        return self.objective.prefix.at if isinstance(self.objective, MixerSettings) else None

    @property
    def learns_from_references(self) -> bool:
        """Whether the likelihood is mixed in."""
        return self.likelihood_weight != 0.0

    def check_pool(self, pool: GenerateSettings) -> None:
        """Check that the pool holds what the first round learns from.

        Raises:
            SettingsError: the pool has no candidates of the kind that is learnt from, or the
                baseline is greedy, and the pool has no greedy outputs.
        """
        kind = self.candidates.kind
        if not pool.names(kind):
            raise SettingsError(
                f"finetune.candidates are of kind {kind}, but generate.strategies has no strategy "
                f"of kind {kind}, so there is no first round; add one, such as "
                f"{kind}: {{kind: {kind}}}"
            )
        if "greedy" in self.needs and not pool.names("greedy"):
            raise SettingsError(
                "finetune.objective.baseline is greedy, but generate.strategies has no strategy of "
                "kind greedy; add greedy: {kind: greedy}"
            )
