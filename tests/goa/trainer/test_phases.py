"""Phases are what their settings say."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from goa.arms import Control
from goa.decoding.settings import SampleSettings
from goa.errors import EvaluatorError
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.pooled import PoolStart
from goa.rollouts.rounds import CandidateRounds
from goa.trainer.anchor import Anchor
from goa.trainer.contract import Phase
from goa.trainer.evolution import Evolution
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.optimiser import Optimiser
from goa.trainer.phases import Materials, make_phases
from goa.trainer.reward_validation import RewardValidation
from goa.trainer.settings import DivergenceSettings, OptimiserSettings
from goa.trainer.team import Team
from goa.trainer.update import RolloutLearner
from tests.conftest import SENTENCES, write_corpus
from tests.goa.trainer.conftest import Long

EXAMPLES = [
    Example(id=f"train-{row}", source=text, references=(text,))
    for row, text in enumerate(SENTENCES)
]
STRATEGY = SampleSettings(kind="sample", num_candidates=2, max_tokens=6)
WHOLE: dict[str, Any] = {
    "objective": {"kind": "reinforce"},
    "candidates": STRATEGY.model_dump(),
    "sources_per_round": 3,
}


@pytest.fixture
def materials(policy: Policy, tmp_path: Path) -> Materials:
    corpus = write_corpus(tmp_path / "train.arrow", EXAMPLES)
    rollout = CandidateWriter(policy, Long(), STRATEGY, RolloutNeeds()).write(EXAMPLES[:3], 9)
    spreads = {"train-0": 0.0, "train-1": 0.2, "train-2": 0.1}
    return Materials(
        policy=policy,
        anchor=Anchor(policy, DivergenceSettings()),
        evaluator=Long(),
        train=corpus,
        validation=corpus,
        pool=PoolStart(rollout=rollout, examples=tuple(EXAMPLES[:3]), spreads=spreads),
        seed=5,
        team=Team(),
    )


def make(materials: Materials, **settings: Any) -> list[Phase]:
    whole = WHOLE | settings
    return [phase() for phase in make_phases(FinetuneSettings.model_validate(whole), materials)]


def rounds_of(phase: Phase) -> CandidateRounds:
    assert isinstance(phase.learner, RolloutLearner | Evolution)
    assert isinstance(phase.learner.rounds, CandidateRounds)
    return phase.learner.rounds


def test_only_a_first_phase_with_the_evaluator_of_the_pool_learns_from_the_pool(
    materials: Materials,
) -> None:
    rule = {"evaluator": {"kind": "rule"}}
    assert [rounds_of(phase).first is not None for phase in make(materials)] == [True]
    assert [
        rounds_of(phase).first is not None for phase in make(materials, phases=[{}, {}, rule])
    ] == [True, False, False]
    assert [rounds_of(phase).first is not None for phase in make(materials, phases=[rule])] == [
        False
    ]
    for kind in ("mixer", "evolution"):
        (phase,) = make(materials, objective={"kind": kind})
        assert rounds_of(phase).first is None


def test_what_the_pool_lacks_is_added_to_the_first_round(materials: Materials) -> None:
    (phase,) = make(materials, credit={"kind": "reward_to_go"}, likelihood_weight=0.5)
    first = rounds_of(phase).first
    assert first is not None
    assert first.credits is not None
    assert first.references is not None


BESIDE_OTHERS = {"evaluator": {"kind": "diversity", "within": "source"}}


@pytest.mark.parametrize(
    ("asking", "message"),
    [
        ({"credit": {"kind": "reward_to_go"}}, "credit of kind reward_to_go scores prefixes"),
        ({"objective": {"kind": "mrt"}, "with_reference": True}, "with_reference scores"),
    ],
)
def test_an_evaluator_that_reads_the_batch_is_refused_where_texts_are_scored_apart(
    materials: Materials, asking: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvaluatorError, match=f"evaluator phase_2: .*{message}"):
        make(materials, phases=[{}, BESIDE_OTHERS], **asking)
    assert len(make(materials, phases=[{}, {"evaluator": {"kind": "rule"}}], **asking)) == 2


def test_the_evaluator_of_the_policy_is_refused_before_any_phase_is_made(
    materials: Materials, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FinetuneSettings.model_validate(
        {"objective": {"kind": "reinforce"}, "phases": [{}, {"credit": {"kind": "reward_to_go"}}]}
    )
    assert len(make_phases(whole, materials)) == 2
    monkeypatch.setattr(Long, "reads_batch", True)
    with pytest.raises(EvaluatorError, match="evaluator long: .*reward_to_go"):
        make_phases(whole, materials)


def test_an_evaluator_that_reads_the_batch_rewards_whole_candidates(materials: Materials) -> None:
    (phase,) = make(materials, phases=[BESIDE_OTHERS])
    rewards = rounds_of(phase)[0].rewards
    assert rewards is not None
    assert rewards.shape == (3, 2)
    assert phase.validate().score == 1.0


def test_phases_draw_from_seeds_of_their_own_and_a_lone_one_from_the_runs(
    materials: Materials,
) -> None:
    seeds = [rounds_of(phase).plan.seed for phase in make(materials, phases=[{}, {}, {}])]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3


@pytest.mark.parametrize(
    ("choice", "silent", "replacements"),
    [("keep", set(), 0), ("skip", {"train-0"}, 0), ("resample", {"train-0"}, 3)],
)
def test_silent_sources_are_kept_skipped_or_replaced(
    materials: Materials, choice: str, silent: set[str], replacements: int
) -> None:
    (phase,) = make(materials, silent_sources=choice)
    plan = rounds_of(phase).plan
    assert set(plan.silent) == silent
    assert plan.replacements == replacements
    assert plan.curriculum is None


def test_a_reference_among_the_candidates_makes_silent_sources_speak(materials: Materials) -> None:
    (phase,) = make(materials, objective={"kind": "mrt"}, with_reference=True)
    assert rounds_of(phase).plan.silent == frozenset()


def test_a_curriculum_knows_the_pools_spreads(materials: Materials) -> None:
    (phase,) = make(materials, curriculum={"by": "spread", "start": 0.2, "rounds": 9})
    curriculum = rounds_of(phase).plan.curriculum
    assert curriculum is not None
    assert [row for row in range(5) if curriculum.allows(row, 0)] == [1]


def test_a_phases_own_evaluator_decides_and_the_first_one_is_shown_besides(
    materials: Materials,
) -> None:
    plain, own = make(materials, phases=[{}, {"evaluator": {"kind": "distinct"}}])
    assert list(plain.validate().values) == ["validation_reward", "validation_length"]
    seen = own.validate()
    assert seen.values["validation_reward"] == plain.validate().score
    assert seen.score == seen.values["validation_phase_reward"] != plain.validate().score


def test_each_phase_has_its_own_pace_and_its_own_end(materials: Materials) -> None:
    first, second = make(
        materials,
        rounds=7,
        phases=[{}, {"learning_rate": 0.5, "rounds": 2, "patience": 3, "optimiser_state": "reset"}],
        collapse=None,
    )
    assert (len(first.learner), len(second.learner)) == (7, 2)
    assert (first.optimiser.learning_rate, second.optimiser.learning_rate) == (1e-4, 0.5)
    assert (first.validation.patience, second.validation.patience) == (None, 3)
    assert (first.carries_optimiser, second.carries_optimiser) == (True, False)
    assert first.collapse is second.collapse is None


def test_perturbation_and_several_steps_reach_the_updater(materials: Materials) -> None:
    (phase,) = make(materials, perturbation={"share": 0.25}, steps_per_round=3)
    assert isinstance(phase.learner, RolloutLearner)
    plan = phase.learner.updater.plan
    assert plan.steps_per_round == 3
    assert plan.perturbation is not None
    assert plan.perturbation.settings.share == 0.25
    assert not plan.dropout


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, set()),
        ({"objective": {"kind": "reinforce", "baseline": "greedy"}}, {"greedy"}),
        ({"likelihood_weight": 0.5}, {"references"}),
        (
            {"objective": {"kind": "mrt"}, "with_reference": True},
            {"reference_among_candidates"},
        ),
        ({"credit": {"kind": "reward_to_go"}}, {"credits"}),
        ({"objective": {"kind": "mixer"}}, {"prefix_share"}),
        ({"noise": {"swaps": 0.1}}, {"noise"}),
    ],
)
def test_rollouts_hold_what_settings_need_and_no_more(
    materials: Materials, settings: dict[str, Any], asked: set[str]
) -> None:
    (phase,) = make(materials, **settings)
    needs = rounds_of(phase).writer.needs
    assert {field.name for field in fields(needs) if getattr(needs, field.name)} == asked


def test_what_cannot_be_scored_is_dropped_in_rounds_and_looks_where_told(
    materials: Materials,
) -> None:
    for drops in (False, True):
        (phase,) = make(replace(materials, drops=drops))
        assert isinstance(phase.validate, RewardValidation)
        assert (rounds_of(phase).writer.needs.drops, phase.validate.drops) == (drops, drops)


def test_a_phase_has_its_idea_of_a_collapse_and_what_learns_on(materials: Materials) -> None:
    learning = {"kind": "discriminator", "embedding": 4, "channels": 4, "buckets": 32}
    plain, other = make(
        materials, phases=[{}, {"evaluator": learning}], collapse={"restorations": 7}
    )
    for phase in (plain, other):
        assert phase.collapse is not None
        assert phase.collapse.restorations == 7
    assert list(plain.learners) == []
    assert [learner.name for learner in other.learners] == ["phase_2"]


@pytest.mark.parametrize("control", ["constant", "shuffled"])
def test_a_control_arm_has_the_sources_and_the_looks_of_the_arm_beside_it(
    materials: Materials, control: Control
) -> None:
    (plain,) = make(materials, rounds=7)
    settings = FinetuneSettings.model_validate({**WHOLE, "rounds": 7})
    controlled = replace(materials, control=control)
    (phase,) = (made() for made in make_phases(settings.as_control(control), controlled))
    one, other = rounds_of(plain), rounds_of(phase)
    assert replace(other.plan, control=None) == one.plan
    assert other.plan.control == control
    assert (phase.validation, phase.optimiser) == (plain.validation, plain.optimiser)


def test_likelihood_goes_on_in_one_phase_as_long_as_all_with_dropout_and_pretraining_s_loss(
    materials: Materials,
) -> None:
    settings = FinetuneSettings.model_validate(
        {**WHOLE, "steps_per_round": 2, "phases": [{"rounds": 2}, {"rounds": 3}]}
    )
    smoothed = LikelihoodSettings(kind="likelihood", label_smoothing=0.3)
    materials = replace(materials, control="likelihood", likelihood=smoothed)
    (phase,) = (made() for made in make_phases(settings.as_control("likelihood"), materials))
    learner = phase.learner
    assert isinstance(learner, RolloutLearner)
    assert len(learner) == 5
    assert (learner.updater.plan.dropout, learner.updater.plan.steps_per_round) == (True, 2)
    (aim,) = learner.updater.aims
    assert isinstance(aim.objective, Likelihood)
    assert aim.objective.label_smoothing == 0.3
    optimiser = Optimiser(materials.policy.trained(), OptimiserSettings(learning_rate=1e-2), 5)
    losses = []
    for index in range(5):
        total, weight = learner.learn(index, optimiser).totals["nll"]
        losses.append(total / weight)
    assert losses[-1] < losses[0]
