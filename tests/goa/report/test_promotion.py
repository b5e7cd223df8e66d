"""Whether a policy may take another's place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from goa.errors import DataError, SettingsError
from goa.evaluation.storage import PolicyEvaluation
from goa.report.promotion import Judgement, Rule, judge

RULE = Rule(metric="rouge1", guards=(), significance=0.05, resamples=200, seed=3, num_tried=1)
MakeEvaluations = Callable[..., list[PolicyEvaluation]]
Judge = Callable[..., Judgement]


@pytest.fixture
def by_greedy(make_evaluations: MakeEvaluations) -> MakeEvaluations:
    """Evaluate policies by the outputs of one strategy."""

    def make(**centers: float) -> list[PolicyEvaluation]:
        return [
            replace(
                each,
                outputs={"greedy": each.outputs["greedy"]},
                evaluations={"greedy": each.evaluations["greedy"]},
            )
            for each in make_evaluations(**centers)
        ]

    return make


@pytest.fixture
def judged(by_greedy: MakeEvaluations) -> Judge:
    """Judge a new policy, by its share of right words, against an old one."""

    def do(new: float, old: float = 0.5, **asked: Any) -> Judgement:
        candidate, rival = by_greedy(new=new, old=old)
        return judge(candidate, rival, replace(RULE, **asked))

    return do


def test_better_by_the_metric_is_accepted(judged: Judge) -> None:
    found = judged(0.7)
    assert found.accepted
    assert (found.candidate, found.rival, found.num_examples) == ("new", "old", 60)
    assert found.metric.score == pytest.approx(0.7, abs=0.05)
    assert found.metric.rival_score == pytest.approx(0.5, abs=0.05)
    delta = found.metric.score - found.metric.rival_score
    assert found.metric.delta == pytest.approx(delta)
    assert found.metric.low < delta < found.metric.high
    assert found.reason.startswith("new is significantly better than old: rouge1 ")


def test_worse_by_the_metric_is_not_accepted_however_significant(judged: Judge) -> None:
    found = judged(0.3)
    assert not found.accepted
    assert found.metric.p_value < 0.05
    assert found.reason.startswith("new is not better than old: ")


def test_better_by_chance_is_not_accepted_and_told_so(judged: Judge) -> None:
    found = judged(0.5, significance=0.0001)
    assert found.metric.delta > 0
    assert not found.accepted
    assert found.reason.startswith("new is not significantly better than old: ")


def test_the_same_outputs_are_not_better(by_greedy: MakeEvaluations) -> None:
    candidate, _ = by_greedy(new=0.5, old=0.5)
    found = judge(candidate, replace(candidate, policy="old"), RULE)
    assert (found.accepted, found.metric.delta) == (False, 0.0)
    assert found.reason.startswith("new is not better than old: ")


def test_the_metric_is_corrected_for_the_policies_tried_and_guards_are_not(judged: Judge) -> None:
    once = judged(0.5, guards=("rouge",))
    picked = judged(0.5, guards=("rouge",), num_tried=2)
    assert 0 < once.metric.p_value < 0.5
    assert picked.metric.p_value == pytest.approx(2 * once.metric.p_value)
    assert picked.guards == once.guards
    assert "corrected for 2 policies" in picked.reason
    assert "corrected" not in once.reason


def test_a_corrected_p_value_is_still_a_probability(judged: Judge) -> None:
    assert judged(0.5, num_tried=1000).metric.p_value == 1.0


def test_a_p_value_at_the_limit_is_not_below_it(judged: Judge) -> None:
    limit = judged(0.7).metric.p_value
    assert not judged(0.7, significance=limit).accepted
    assert judged(0.7, significance=1.01 * limit).accepted


def test_a_guard_that_is_significantly_worse_forbids(by_greedy: MakeEvaluations) -> None:
    found = judge(*_better_but(by_greedy, 0.3), replace(RULE, guards=("ter",)))
    assert not found.accepted
    assert found.reason.startswith("new is better than old: rouge1 ")
    assert "but significantly worse: ter " in found.reason


def test_a_guard_that_is_worse_by_chance_permits(by_greedy: MakeEvaluations) -> None:
    rule = replace(RULE, guards=("ter",), significance=0.02)
    found = judge(*_better_but(by_greedy, 0.5), rule)
    assert found.guards[0].delta < 0
    assert found.accepted
    assert found.reason.endswith("no guard is significantly worse (ter)")


def test_a_guard_that_is_better_permits(judged: Judge) -> None:
    found = judged(0.7, guards=("ter", "rouge"))
    assert found.accepted
    assert [each.metric for each in found.contrasts] == ["rouge1", "ter", "rouge"]


def _better_but(
    by_greedy: MakeEvaluations, ter: float
) -> tuple[PolicyEvaluation, PolicyEvaluation]:
    """Make a policy that is better than 0.5 by rouge1, with the TER of another share."""
    other, candidate, rival = by_greedy(other=ter, new=0.7, old=0.5)
    better, worse = candidate.evaluations["greedy"], other.evaluations["greedy"]
    mixed = replace(
        better,
        measurements={**better.measurements, "ter": worse.measurements["ter"]},
        statistics={**better.statistics, "ter": worse.statistics["ter"]},
    )
    return replace(candidate, evaluations={"greedy": mixed}), rival


def test_the_resamples_follow_from_the_seed(judged: Judge) -> None:
    assert judged(0.5).metric == judged(0.5).metric
    assert judged(0.5, seed=4).metric.low != judged(0.5).metric.low


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric": "rogue"}, "promotion.metric: 'rogue' is no measure; use rouge1"),
        ({"guards": ("ter", "rogue")}, "promotion.guards: 'rogue' is no measure"),
        ({"metric": "length_ratio"}, "'length_ratio' is neither better nor worse when it rises"),
        ({"guards": ("length_ratio",)}, "promotion.guards: 'length_ratio' is neither"),
    ],
)
def test_a_measure_that_cannot_decide_is_refused(
    judged: Judge, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        judged(0.7, **asked)


def test_policies_that_were_not_measured_alike_are_refused(by_greedy: MakeEvaluations) -> None:
    candidate, rival = by_greedy(new=0.7, old=0.5)
    with pytest.raises(DataError, match="different test examples"):
        judge(replace(candidate, examples=candidate.examples[::-1]), rival, RULE)
