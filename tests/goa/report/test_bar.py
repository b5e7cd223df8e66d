"""What decoding alone reaches, against training."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.bar import Seconds
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.evidence import Bar
from goa.report.numbers import say_score
from goa.report.settings import CompareSettings
from tests.comparisons import make_evaluation, outputs_with, shares_around

ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]
Compared = Callable[..., Comparison]
UNKNOWN: Seconds = MappingProxyType({})
SETTINGS = CompareSettings(resamples=400, num_examples=0)


def evaluation(policy: str, **centers: float) -> PolicyEvaluation:
    """Evaluate a policy by strategy -> the share of words that are right about it."""
    return make_evaluation(
        policy,
        {
            strategy: outputs_with(shares_around(center, seed=len(policy + strategy)))
            for strategy, center in centers.items()
        },
    )


@pytest.fixture
def compared(by_arm: ByArm) -> Compared:
    """Compare policies by name -> strategy -> share; the first is the baseline."""

    def make(policies: Mapping[str, Mapping[str, float]], seconds: Seconds = UNKNOWN) -> Comparison:
        evaluations = [evaluation(name, **found) for name, found in policies.items()]
        return compare(by_arm(evaluations), SETTINGS, 3, seconds)

    return make


@pytest.fixture
def bar_of(compared: Compared) -> Callable[..., Bar]:
    """Give the bar of a comparison."""

    def make(policies: Mapping[str, Mapping[str, float]], seconds: Seconds = UNKNOWN) -> Bar:
        bar = compared(policies, seconds).bar
        assert bar is not None
        return bar

    return make


MakeBar = Callable[..., Bar]
MLE = {"greedy": 0.4, "mbr": 0.5, "best_of": 0.45}
SECONDS = {
    ("mle", "greedy"): 0.01,
    ("mle", "best_of"): 0.02,
    ("mle", "mbr"): 0.3,
    ("rouge-17", "greedy"): 0.011,
}


def test_every_arm_has_its_points_and_the_baseline_its_own_besides(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}}, SECONDS)

    assert [(point.arm, point.strategy, point.seconds) for point in bar.points] == [
        ("mle", "greedy", 0.01),
        ("mle", "mbr", 0.3),
        ("mle", "best_of", 0.02),
        ("rouge", "greedy", 0.011),
    ]
    assert all((x.low or 0) < (x.score or 0) < (x.high or 0) for x in bar.points)


def test_training_was_worth_it_where_decoding_alone_stays_significantly_behind(
    bar_of: MakeBar,
) -> None:
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}})

    assert bar.any_time is not None
    assert (bar.any_time.untrained.strategy, bar.any_time.outcome) == ("mbr", "behind")
    assert bar.any_time.change.delta == pytest.approx(
        (bar.points[-1].score or 0) - (bar.points[1].score or 0), rel=1e-12
    )
    assert bar.sentence.startswith(
        "Training was worth it: by decoding alone mle reaches rouge1 "
        f"{100 * (bar.any_time.untrained.score or 0):.2f} by mbr at best, and the best arm, rouge, "
    )


def test_the_report_says_plainly_when_training_was_not_worth_it(compared: Compared) -> None:
    comparison = compared({"mle": {"greedy": 0.4, "mbr": 0.7}, "rouge": {"greedy": 0.55}})

    assert comparison.bar is not None
    assert comparison.bar.any_time is not None
    assert comparison.bar.any_time.outcome == "reached"
    assert comparison.verdict.winner == "rouge"
    assert "Training was not worth it" in comparison.verdict.sentence
    assert comparison.verdict.headline.endswith(
        "Training was not worth it: mle decoded by mbr reaches "
        f"{say_score(comparison.bar.any_time.untrained.score)}."
    )
    assert comparison.bar.sentence in [fact.text for fact in comparison.verdict.facts]


def test_a_lead_that_chance_explains_is_undecided(bar_of: MakeBar) -> None:
    same = {"greedy": 0.5}
    bar = bar_of({"mle": same, "rouge": same, "rougex": same})

    assert bar.any_time is not None
    assert bar.any_time.change.effect == "none"
    delta = bar.any_time.change.delta
    assert delta is not None
    assert bar.any_time.outcome == ("undecided" if delta > 0 else "reached")


def test_the_trained_point_is_corrected_for_all_it_was_picked_from(bar_of: MakeBar) -> None:
    trained = {"greedy": 0.7, "beam": 0.72}
    bar = bar_of({"mle": {"greedy": 0.4, "beam": 0.4}, "rouge": trained, "rule": trained})

    assert bar.any_time is not None
    change = bar.any_time.change
    assert change.p_value == pytest.approx(1 / 401)
    assert change.adjusted_p_value == pytest.approx(4 / 401)


def test_a_control_is_never_the_trained_point(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.6}, "rouge-constant-17": {"greedy": 0.8}})

    assert bar.trained is not None
    assert bar.trained.arm == "rouge"
    assert [point.arm for point in bar.points][-1] == "rouge-constant"


def test_in_the_same_time_slower_ways_do_not_count(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}}, SECONDS)

    assert bar.same_time is not None
    assert bar.same_time.untrained.strategy == "greedy"
    assert bar.sentence.endswith(", so training saves time.")
    assert "in 300 ms a sentence" in bar.sentence


def test_the_same_way_of_decoding_is_never_too_slow(bar_of: MakeBar) -> None:
    seconds = {**SECONDS, ("rouge-17", "greedy"): 0.009}
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}}, seconds)

    assert bar.same_time is not None
    assert bar.same_time.untrained.strategy == "greedy"


def test_what_is_the_best_in_any_time_and_in_no_more_is_told_once(bar_of: MakeBar) -> None:
    seconds = {**SECONDS, ("mle", "mbr"): 0.01}
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}}, seconds)

    assert bar.same_time == bar.any_time
    assert "by mbr in 10.0 ms a sentence at best" in bar.sentence
    assert "In no more time" not in bar.sentence


def test_it_is_said_where_training_saves_no_time_either(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": {"greedy": 0.65, "mbr": 0.8}, "rouge": {"greedy": 0.5}}, SECONDS)

    assert bar.same_time is not None
    assert (bar.same_time.untrained.strategy, bar.same_time.outcome) == ("greedy", "reached")
    assert bar.sentence.endswith(", training saves no time either.")


def test_without_times_nothing_is_said_of_time(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": MLE, "rouge": {"greedy": 0.7}})

    assert bar.same_time is None
    assert "time" not in bar.sentence
    assert {point.seconds for point in bar.points} == {None}


def test_times_are_averaged_over_seeds_and_missing_where_one_is(bar_of: MakeBar) -> None:
    policies = {"mle": {"greedy": 0.4}, "rouge-1": {"greedy": 0.6}, "rouge-2": {"greedy": 0.6}}
    some = {("rouge-1", "greedy"): 0.1}
    both = {**some, ("rouge-2", "greedy"): 0.3}

    assert bar_of(policies, some).points[1].seconds is None
    assert bar_of(policies, both).points[1].seconds == pytest.approx(0.2)


def test_noised_sources_are_no_way_of_decoding(bar_of: MakeBar) -> None:
    both = {"greedy": 0.4, "greedy_noised": 0.9}
    bar = bar_of({"mle": both, "rouge": {"greedy": 0.6, "greedy_noised": 0.3}})

    assert [point.strategy for point in bar.points] == ["greedy", "greedy"]


def test_a_strategy_that_is_only_called_noised_is_a_way_of_decoding(bar_of: MakeBar) -> None:
    bar = bar_of({"mle": {"beam_noised": 0.4}, "rouge": {"beam_noised": 0.6}})

    assert [point.strategy for point in bar.points] == ["beam_noised", "beam_noised"]


def test_the_baseline_alone_has_no_bar(compared: Compared) -> None:
    assert compared({"mle": MLE}).bar is None


def test_the_verdict_tells_the_cost_of_decoding(compared: Compared) -> None:
    facts = compared({"mle": MLE, "rouge": {"greedy": 0.7}}, SECONDS).verdict.facts

    assert [fact.name for fact in facts] == [
        "how much better",
        "how sure",
        "owing to what",
        "against decoding alone",
        "at what cost to decode",
    ]
    assert facts[-1].text == "11.0 ms a sentence, 10.0 ms for mle"
    assert facts[2].text == "not known: no control stands beside rouge"
    assert facts[1].text.endswith("nothing is known of the luck of training")
