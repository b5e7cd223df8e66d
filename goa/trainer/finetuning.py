"""Settings of fine-tuning; apart, so that changing an objective leaves pretraining as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from goa.arms import Control
from goa.data.noise import SourceNoiseSettings
from goa.decoding.settings import GenerateSettings, SampleSettings, StrategySettings
from goa.errors import SettingsError
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.objectives.contract import Need
from goa.objectives.credit import CreditSettings, UniformCreditSettings
from goa.objectives.head import HeadSettings
from goa.objectives.mixer import MixerSettings
from goa.objectives.ramp import RampSettings
from goa.objectives.reinforce import ReinforceSettings
from goa.objectives.table import ObjectiveSettings, build_objective
from goa.policies.adapter import AdapterSettings
from goa.rollouts.curriculum import CurriculumSettings
from goa.settings import Settings
from goa.trainer.collapse import CollapseSettings
from goa.trainer.misfits import misfit
from goa.trainer.settings import (
    DivergenceSettings,
    EvolutionSettings,
    GuardingSettings,
    OptimiserSettings,
    PerturbationSettings,
    ValidationSettings,
)

LearningSettings = Annotated[ObjectiveSettings | EvolutionSettings, Field(discriminator="kind")]
SilentSources = Literal["keep", "skip", "resample"]
LikelihoodWeight = Annotated[float, Field(ge=0.0)] | RampSettings


class PhaseSettings(Settings):
    """What a phase does otherwise than fine-tuning's settings say; what it leaves out stays.

    Ramps, schedules and the curriculum begin again with each phase.
    """

    objective: LearningSettings | None = None
    """In place of finetune's."""
    credit: CreditSettings | None = None
    """In place of finetune's."""
    evaluator: EvaluatorSettings | None = None
    """What the phase is rewarded by and chosen by: an evaluator's settings, such as a composite's;
    none named means the one that the policy is named after."""
    rounds: int | None = Field(None, ge=1, le=100_000_000)
    """In place of finetune's."""
    silent_sources: SilentSources | None = None
    """In place of finetune's."""
    learning_rate: float | None = Field(None, gt=0.0, le=1.0)
    """Of the optimiser."""
    temperature: float | None = Field(None, gt=0.0, le=10.0)
    """Of the draws."""
    patience: int | None = Field(None, ge=1)
    """The phase ends after so many looks without a better one."""
    likelihood_weight: LikelihoodWeight | None = None
    """In place of finetune's."""
    entropy_weight: float | None = Field(None, ge=0.0)
    """In place of finetune's."""
    optimiser_state: Literal["carry", "reset"] = "carry"
    """Whether the optimiser's moments come over from the phase before."""


class FinetuneSettings(Settings):
    """Raising the expected score of what the policy writes."""

    rounds: int = Field(200, ge=1, le=100_000_000)
    """Generate, score, update: so many times."""
    sources_per_round: int = Field(48, ge=1, le=1_000_000)
    """Of all processes together."""
    candidates: StrategySettings = SampleSettings(kind="sample")
    """How candidates are written in every round after the first, which learns from the pool. A
    beam's, of any kind, are no independent draws: only mrt, margin, best_of_n and dpo can learn
    from them. Greedy outputs are for evolution alone."""
    with_reference: bool = False
    """Put a reference among each source's candidates; for the same objectives."""
    silent_sources: SilentSources = "skip"
    """What becomes of sources whose candidates all earn the same. skip: those of the pool are left
    out, unless a reference is among the candidates; resample: those of later rounds are replaced by
    others besides, three times at most."""
    curriculum: CurriculumSettings | None = None
    """Which sources come early; none named means all from the start."""
    steps_per_round: int = Field(1, ge=1, le=1000)
    """Steps of the optimiser on each round's candidates."""
    objective: LearningSettings
    """How a policy learns from candidates and their rewards."""
    credit: CreditSettings = UniformCreditSettings(kind="uniform")
    """How a candidate's reward reaches its tokens."""
    critic: HeadSettings = HeadSettings()
    """What ppo and the baseline of that name learn beside the policy."""
    divergence: DivergenceSettings = DivergenceSettings()
    likelihood_weight: LikelihoodWeight = 0.0
    """What the likelihood of a reference of each source weighs beside the objective."""
    entropy_weight: float = Field(0.0, ge=0.0)
    """What a nat of entropy per token is worth in the loss."""
    noise: SourceNoiseSettings | None = None
    """Let the policy read some sources with noise; none named means none."""
    perturbation: PerturbationSettings | None = None
    """Learn from some sources with their embeddings moved where that hurts; none named means
    none."""
    adapter: AdapterSettings | None = None
    """Train low-rank adapters alone; none named means all weights."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)
    validation: ValidationSettings = ValidationSettings(every=20)
    guards: dict[EvaluatorName, EvaluatorSettings] = Field(default_factory=dict)
    """Metrics, by name, that must not become significantly worse on the validation split than they
    were at the start: a policy of which one is cannot become the best. Nothing is rewarded by
    them."""
    guarding: GuardingSettings = GuardingSettings()
    collapse: CollapseSettings | None = CollapseSettings()
    """When the best policy is taken back; null: never."""
    phases: list[PhaseSettings] = Field(default_factory=list)
    """Multi-stage training: each phase goes on from the best policy of the one before. None named
    means one phase, as all the other settings say."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "FinetuneSettings":
        problem = misfit(self)
        if problem is not None:
            raise ValueError(problem)
        self.resolved()
        return self

    @property
    def needs(self) -> frozenset[Need]:
        """What the objective asks for."""
        if isinstance(self.objective, EvolutionSettings):
            return frozenset()
        return build_objective(self.objective).needs

    @property
    def learns_from_pool(self) -> bool:
        """Whether the first round can learn from the candidates of the pool."""
        return "prefix" not in self.needs and self.objective.kind != "evolution"

    @property
    def keeps_silent_sources(self) -> bool:
        """Whether sources whose candidates all earn the same are learnt from, too.

        A reference among the candidates tells them apart.
        """
        return self.silent_sources == "keep" or self.with_reference

    @property
    def pool_kind(self) -> str:
        """Kind of the pool's candidates that are learnt from, and that tell silent sources."""
        return "sample" if self.candidates.kind == "greedy" else self.candidates.kind

    def resolved(self) -> list["ResolvedPhase"]:
        """Give each phase its whole settings.

        Raises:
            ValueError: a phase's settings do not fit together.
        """
        if not self.phases:
            return [ResolvedPhase(settings=self, evaluator=None, carries_optimiser=True)]
        return [self._resolve(place, phase) for place, phase in enumerate(self.phases)]

    def _resolve(self, place: int, phase: PhaseSettings) -> "ResolvedPhase":
        whole = self.model_dump(exclude={"phases", "guards"})
        named = phase.model_dump(exclude_none=True)
        named.pop("evaluator", None)
        state = named.pop("optimiser_state")
        for name, section in (
            ("learning_rate", "optimiser"),
            ("temperature", "candidates"),
            ("patience", "validation"),
        ):
            if name in named:
                whole[section][name] = named.pop(name)
        try:
            settings = FinetuneSettings.model_validate(whole | named)
        except ValidationError as error:
            problem = error.errors()[0]
            path = ".".join(str(part) for part in (place, *problem["loc"]))
            message = problem["msg"].removeprefix("Value error, ")
            raise ValueError(f"phases.{path}: {message}") from None
        return ResolvedPhase(
            settings=settings, evaluator=phase.evaluator, carries_optimiser=state == "carry"
        )

    def as_control(self, control: Control) -> "FinetuneSettings":
        """Give the settings of a control arm, which are these but for what rewards are needed for.

        likelihood is one phase, as long as all of these. constant has plain policy gradient without
        a baseline, as Choshen et al. (2020, section 4): compared with itself a constant teaches
        nothing. Neither asks whether candidates tell apart. constant and shuffled have uniform
        credit, for any other tells tokens what candidates are not told.

        Raises:
            SettingsError: constant rewards were to be learnt from candidates that are no draws.
        """
        plain = ReinforceSettings(kind="reinforce", baseline="none")
        uniform = UniformCreditSettings(kind="uniform")
        if control == "likelihood":
            rounds = sum(phase.settings.rounds for phase in self.resolved())
            changes = {"objective": plain, "credit": uniform, "rounds": rounds, "phases": []}
            return self.model_copy(update={**changes, "with_reference": False, "collapse": None})
        if control == "shuffled":
            phases = [phase.model_copy(update={"credit": None}) for phase in self.phases]
            return self.model_copy(update={"credit": uniform, "phases": phases})
        if self.candidates.kind != "sample" or self.with_reference:
            raise SettingsError(
                "controls.arms: constant rewards are learnt by policy gradient, from the policy's "
                "own draws; use finetune.candidates of kind sample and with_reference: false, or "
                "leave constant out"
            )
        as_here = {"objective": None, "credit": None, "silent_sources": None}
        phases = [phase.model_copy(update=as_here) for phase in self.phases]
        changes = {"objective": plain, "credit": uniform, "phases": phases}
        silent = "skip" if self.silent_sources == "resample" else self.silent_sources
        return self.model_copy(update={**changes, "silent_sources": silent})

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

    def check_team(self, size: int, *, fsdp: bool) -> None:
        """Check that so many processes can share the work.

        Raises:
            SettingsError: there are fewer sources than processes, or the weights are to be sharded
                and something needs all of them at once.
        """
        if self.sources_per_round < size:
            raise SettingsError(
                f"finetune.sources_per_round is {self.sources_per_round}: too few for {size} "
                "processes; raise it, or lower compute.processes.finetune"
            )
        if not fsdp or size == 1:
            return
        for phase in (resolved.settings for resolved in self.resolved()):
            if phase.objective.kind == "evolution" or phase.perturbation is not None:
                what = "perturbation" if phase.perturbation is not None else "evolution"
                raise SettingsError(
                    f"finetune: {what} needs all weights in each process; set compute.fsdp to false"
                )

    def check_pool(self, pool: GenerateSettings) -> None:
        """Check that the pool holds what the first round learns from.

        Raises:
            SettingsError: the pool has no candidates of the kind that is learnt from, or the
                baseline is greedy, and the pool has no greedy outputs.
        """
        kind = self.pool_kind
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPhase:
    """A phase with all that fine-tuning's settings say and it leaves out."""

    settings: FinetuneSettings
    """Of this phase alone; it has no phases, nor guards, which are of all of them."""
    evaluator: EvaluatorSettings | None
    """What it is rewarded by; None: what the policy is named after."""
    carries_optimiser: bool
    """Whether the optimiser's moments come over from the phase before."""
