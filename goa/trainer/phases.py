"""The phases of fine-tuning, made from their settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from goa.arms import Control
from goa.data.corpus import Corpus
from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator
from goa.evaluators.table import Rewarding, build_evaluator
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.policy import Policy
from goa.randomness import derive_seed
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.continued import ContinuedReferences
from goa.rollouts.curriculum import Curriculum
from goa.rollouts.pooled import PoolStart
from goa.rollouts.rounds import CandidateRounds, RoundPlan
from goa.trainer.aims import finetuning_aims
from goa.trainer.anchor import Anchor
from goa.trainer.contract import Learner, Phase
from goa.trainer.evolution import Evolution
from goa.trainer.finetuning import FinetuneSettings, ResolvedPhase
from goa.trainer.perturbation import Perturbation
from goa.trainer.reward_validation import Look, RewardValidation
from goa.trainer.settings import EvolutionSettings
from goa.trainer.team import Team
from goa.trainer.update import Aim, RolloutLearner, UpdatePlan, Updater

PLAIN_LIKELIHOOD = LikelihoodSettings(kind="likelihood")
REPLACEMENTS = 3
"""How often a round asks for other sources in the place of silent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What all phases work with."""

    policy: Policy
    """Trained in place."""
    anchor: Anchor
    """The policy as it was."""
    evaluator: Evaluator
    """What the policy is named after: the reward of every phase that names no other."""
    train: Corpus
    """Where sources come from."""
    validation: Corpus
    """What the best policy is chosen on."""
    pool: PoolStart
    """Candidates of the pretrained policy, with their rewards by ``evaluator``."""
    seed: int
    """Of every random choice."""
    team: Team
    """The processes that share the work."""
    build: Callable[[str, Rewarding], Evaluator] = build_evaluator
    """Builds the evaluator of a phase that has one of its own."""
    judge: Evaluator | None = None
    """``evaluator`` as it was before it learnt along with the policy, where it does: what the best
    policy is chosen by."""
    drops: bool = False
    """Whether sources are left out for which something cannot be scored; else that is an error."""
    control: Control | None = None
    """What a control arm learns from; None: what the evaluator says."""
    likelihood: LikelihoodSettings = PLAIN_LIKELIHOOD
    """Pretraining's loss, which the control of that name goes on with."""


def make_phases(settings: FinetuneSettings, materials: Materials) -> list[Callable[[], Phase]]:
    """Make what makes each phase, when it begins.

    Raises:
        EvaluatorError: a phase, be it the last, scores texts apart from the candidates that its
            evaluator would have to compare them with.
    """
    phases = list(enumerate(settings.resolved()))
    for place, resolved in phases:
        _check_apart(place, resolved, materials)
    return [partial(make_phase, place, resolved, materials) for place, resolved in phases]


def _check_apart(place: int, resolved: ResolvedPhase, materials: Materials) -> None:
    """Check that only an evaluator of single texts is asked about texts apart from the round's."""
    apart = {
        "credit of kind reward_to_go": resolved.settings.credit.kind == "reward_to_go",
        "with_reference": resolved.settings.with_reference,
    }
    asking = [what for what, asks in apart.items() if asks]
    # Settings cannot tell, and an evaluator that is built to be asked may be large: ask few.
    if asking and (evaluator := _evaluator(place, resolved, materials)).reads_batch:
        raise EvaluatorError(
            f"evaluator {evaluator.name}: its scores hang on the other candidates of a call, and "
            f"{asking[0]} scores prefixes or references in a call of their own, so that rewards "
            "would not be comparable; do without, or take an evaluator of single texts"
        )


def _evaluator(place: int, resolved: ResolvedPhase, materials: Materials) -> Evaluator:
    """Give what a phase is rewarded by."""
    if resolved.evaluator is None:
        return materials.evaluator
    return materials.build(f"phase_{place + 1}", resolved.evaluator)


def make_phase(place: int, resolved: ResolvedPhase, materials: Materials) -> Phase:
    """Make one phase.

    Args:
        place: the phase's, from 0.
        resolved: its settings.
        materials: what all phases work with.
    """
    settings, policy = resolved.settings, materials.policy
    evaluator = _evaluator(place, resolved, materials)
    seed = materials.seed if place == 0 else derive_seed(materials.seed, "phase", place) % 2**32
    from_pool = place == 0 and resolved.evaluator is None
    rounds = _rounds(settings, evaluator, materials, seed, from_pool=from_pool)
    return Phase(
        learner=_learner(settings, rounds, materials, seed),
        validate=RewardValidation(
            policy,
            _looked_at(materials, evaluator),
            materials.validation,
            Look(
                num_sources=settings.validation.num_sources,
                max_tokens=settings.candidates.max_tokens,
                drops=materials.drops,
            ),
            materials.team,
        ),
        optimiser=settings.optimiser,
        validation=settings.validation,
        collapse=settings.collapse,
        carries_optimiser=resolved.carries_optimiser,
        learners=evaluator.learners(),
    )


def _looked_at(materials: Materials, evaluator: Evaluator) -> dict[str, Evaluator]:
    """Name what is measured on the validation split; the last one decides."""
    judge = {"validation_reward": materials.judge or materials.evaluator}
    if evaluator is not materials.evaluator:
        return {**judge, "validation_phase_reward": evaluator}
    return judge if materials.judge is None else {"validation_live_reward": evaluator, **judge}


def _learner(
    settings: FinetuneSettings, rounds: CandidateRounds, materials: Materials, seed: int
) -> Learner:
    policy = materials.policy
    if materials.control == "likelihood":
        return _likelihood_learner(settings, rounds, materials, seed)
    perturbation = None
    if settings.perturbation is not None:
        perturbation = Perturbation(policy, settings.perturbation, seed)
    plan = UpdatePlan(
        seed=seed, steps_per_round=settings.steps_per_round, perturbation=perturbation
    )
    updater = Updater(
        policy, finetuning_aims(settings, policy, seed), plan, materials.anchor, materials.team
    )
    if isinstance(settings.objective, EvolutionSettings):
        return Evolution(rounds, updater, policy.trained(), settings.objective, seed)
    return RolloutLearner(rounds, updater)


def _likelihood_learner(
    settings: FinetuneSettings, rounds: CandidateRounds, materials: Materials, seed: int
) -> Learner:
    """Go on as pretraining did, dropout included, on references of the sources of these rounds."""
    updater = Updater(
        materials.policy,
        [Aim(objective=Likelihood(materials.likelihood))],
        UpdatePlan(seed=seed, steps_per_round=settings.steps_per_round, dropout=True),
        team=materials.team,
    )
    first = None if rounds.first is None else materials.pool.examples
    return RolloutLearner(ContinuedReferences(rounds, first), updater)


def _rounds(
    settings: FinetuneSettings,
    evaluator: Evaluator,
    materials: Materials,
    seed: int,
    *,
    from_pool: bool,
) -> CandidateRounds:
    needs = RolloutNeeds(
        greedy="greedy" in settings.needs,
        references=settings.learns_from_references,
        reference_among_candidates=settings.with_reference,
        credits=settings.credit.kind == "reward_to_go",
        prefix_share=settings.prefix_share,
        drops=materials.drops,
        noise=settings.noise,
    )
    pool = materials.pool
    writer = CandidateWriter(materials.policy, evaluator, settings.candidates, needs)
    first = None
    if from_pool and settings.learns_from_pool:
        first = writer.complete(pool.rollout, pool.examples, seed)
    curriculum = None
    if settings.curriculum is not None:
        curriculum = Curriculum(settings.curriculum, materials.train, pool.spreads)
    plan = RoundPlan(
        num_rounds=settings.rounds,
        sources_per_round=settings.sources_per_round,
        seed=seed,
        silent=frozenset() if settings.keeps_silent_sources else pool.silent,
        curriculum=curriculum,
        share=materials.team.share,
        replacements=REPLACEMENTS if settings.silent_sources == "resample" else 0,
        control=materials.control,
    )
    return CandidateRounds(writer, materials.train, first, plan)
