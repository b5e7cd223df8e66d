"""What is left of a gain without what the best control gains."""

from collections.abc import Callable
from statistics import fmean

import pytest
from scipy import stats

from goa.evaluators.distinct import DistinctSettings
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import group_by_arm
from goa.report.evidence import Attribution
from goa.report.numbers import say_delta
from goa.report.settings import CompareSettings
from tests.comparisons import METRICS, NUM_EXAMPLES, make_evaluation

MakeComparison = Callable[..., Comparison]

TWO_SEEDS = {
    "rouge-1": 0.72,
    "rouge-2": 0.7,
    "rouge-constant-1": 0.53,
    "rouge-constant-2": 0.55,
    "rouge-likelihood-1": 0.63,
    "rouge-likelihood-2": 0.6,
}


def attribution(comparison: Comparison, metric: str = "rouge1", arm: str = "rouge") -> Attribution:
    (found,) = [
        each
        for each in comparison.attributions
        if (each.strategy, each.metric, each.arm) == ("greedy", metric, arm)
    ]
    return found


@pytest.fixture
def compared(make_comparison: MakeComparison) -> Comparison:
    """Compare an arm of two seeds with two controls beside it."""
    return make_comparison(mle=0.5, **TWO_SEEDS)


def test_there_is_one_for_every_strategy_directed_measure_and_arm_with_controls(
    make_comparison: MakeComparison,
) -> None:
    arms = {"rouge": 0.6, "rouge-constant-17": 0.55, "rule": 0.5}
    found = make_comparison(mle=0.5, **arms).attributions

    assert [(each.strategy, each.metric, each.arm) for each in found] == [
        (strategy, metric, "rouge")
        for strategy in ("greedy", "beam")
        for metric in ("rouge1", "ter", "rouge")
    ]


def test_the_best_control_is_taken_away(compared: Comparison) -> None:
    found = attribution(compared)
    scores = {arm: compared.cell("greedy", "rouge1", arm).score or 0.0 for arm in compared.names}

    assert found.control == "rouge-likelihood"
    assert found.gain == pytest.approx(scores["rouge"] - scores["mle"], rel=1e-12)
    assert found.control_gain == pytest.approx(scores[found.control] - scores["mle"], rel=1e-12)
    assert found.left.delta == pytest.approx(scores["rouge"] - scores[found.control], rel=1e-12)


def test_what_is_left_and_what_the_control_gains_make_the_gain(compared: Comparison) -> None:
    for found in compared.attributions:
        assert found.gain is not None
        assert found.control_gain is not None
        assert found.left.delta == pytest.approx(found.gain - found.control_gain, abs=1e-12)


def test_seeds_are_held_against_the_control_s_of_the_same_seed(compared: Comparison) -> None:
    ours, theirs = (
        [score or 0.0 for score in compared.cell("greedy", "rouge1", arm).scores]
        for arm in ("rouge", "rouge-likelihood")
    )
    expected = stats.ttest_rel(ours, theirs).pvalue

    assert attribution(compared).left.seeds_p_value == pytest.approx(expected, rel=1e-9)
    assert fmean(ours) > fmean(theirs)


def test_the_best_control_goes_by_its_mean_over_seeds(make_comparison: MakeComparison) -> None:
    better = make_comparison(mle=0.5, **(TWO_SEEDS | {"rouge-constant-1": 0.9}))
    assert attribution(better).control == "rouge-constant"


def test_a_gain_that_a_control_has_too_is_not_left(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(
        mle=0.5, **{"rouge-17": 0.7, "rouge-constant-17": 0.5, "rouge-likelihood-17": 0.7}
    )
    found = attribution(comparison)

    assert found.gain is not None
    assert found.gain > 0.15
    assert found.left.effect == "none"
    assert comparison.verdict.headline.endswith(
        ". Beside its best control, chance may explain what is left."
    )


def test_attributions_are_corrected_for_the_arms_that_have_controls(
    make_comparison: MakeComparison,
) -> None:
    arms = {
        "rouge-17": 0.7,
        "rouge-constant-17": 0.5,
        "rule-17": 0.7,
        "rule-constant-17": 0.5,
        "other-17": 0.5,
    }
    left = attribution(make_comparison(mle=0.5, **arms)).left

    assert left.p_value == pytest.approx(1 / 401)
    assert left.adjusted_p_value == pytest.approx(2 / 401)


def test_without_controls_nothing_is_attributed(comparison: Comparison) -> None:
    assert comparison.attributions == ()


def test_randomisation_tests_what_is_left_too(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=400, num_examples=0, test="randomisation")
    comparison = make_comparison(settings, mle=0.5, **TWO_SEEDS)

    assert comparison.test == "randomisation"
    assert attribution(comparison).left.p_value == pytest.approx(1 / 401)


def test_the_verdict_says_what_is_left(make_comparison: MakeComparison) -> None:
    arms = {"rouge-17": 0.7, "rouge-constant-17": 0.6}
    comparison = make_comparison(mle=0.5, **arms)
    found = attribution(comparison)
    facts = {fact.name: fact.text for fact in comparison.verdict.facts}

    assert facts["owing to what"].startswith(f"Of +{100 * (found.gain or 0):.2f} rouge1, +")
    assert "is left once the best control, rouge-constant (+" in facts["owing to what"]
    assert facts["owing to what"] in comparison.verdict.sentence
    assert comparison.verdict.headline.endswith(
        f". {say_delta(found.left.delta)} is left beside its best control."
    )


def distinct_of(**outputs: str) -> Comparison:
    """Compare policies that write one text for everything by how few words come again."""
    settings = {"rouge": METRICS["rouge"], "distinct": DistinctSettings(kind="distinct", n=1)}
    evaluations = [
        make_evaluation(name, {"greedy": (text,) * NUM_EXAMPLES}, settings)
        for name, text in outputs.items()
    ]
    return compare(group_by_arm(evaluations), CompareSettings(resamples=20), seed=3)


def test_a_control_without_a_score_is_not_the_best() -> None:
    arms = {"rouge-1": "one two", "rouge-constant-1": "", "rouge-likelihood-1": "one"}
    found = attribution(distinct_of(mle="one one", **arms), "distinct")
    assert found.control == "rouge-likelihood"
    assert found.control_gain is not None


def test_where_no_control_has_a_score_nothing_is_attributed() -> None:
    found = distinct_of(mle="one one", **{"rouge-1": "one two", "rouge-constant-1": ""})
    assert [each.metric for each in found.attributions] == ["rouge"]
