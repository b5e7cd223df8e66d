"""Which examples are shown."""

from collections.abc import Callable, Sequence

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison, Exhibit
from goa.report.entrants import Entrant
from goa.report.settings import CompareSettings

MakeEvaluations = Callable[..., list[PolicyEvaluation]]
MakeComparison = Callable[..., Comparison]
ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]


def gains(exhibits: tuple[Exhibit, ...], word: str) -> list[float]:
    found = []
    for exhibit in exhibits:
        before, after = exhibit.scores["mle"], exhibit.scores["rouge"]
        if word in exhibit.reason and before is not None and after is not None:
            found.append(after - before)
    return found


def test_a_quarter_are_the_largest_gains_and_a_quarter_the_largest_losses(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    evaluations = make_evaluations(mle=0.5, rouge=0.5)
    settings = CompareSettings(resamples=50, num_examples=8)
    exhibits = compare(by_arm(evaluations), settings, 3).exhibits
    values = [each.evaluations["greedy"].values["rouge1"] for each in evaluations]
    deltas = sorted(values[1] - values[0])

    assert sorted(gains(exhibits, "gains")) == pytest.approx(deltas[-2:])
    assert sorted(gains(exhibits, "losses")) == pytest.approx(deltas[:2])
    assert [exhibit.reason for exhibit in exhibits[:4]] == ["drawn by lot"] * 4
    assert len({exhibit.id for exhibit in exhibits}) == 8


def test_every_arm_s_output_is_shown_beside_the_references(comparison: Comparison) -> None:
    for exhibit in comparison.exhibits:
        assert list(exhibit.outputs) == ["mle", "rouge", "rule"]
        assert exhibit.references == ("one two three four five six seven eight nine ten",)
        right = 10 - exhibit.outputs["rule"].count("oops")
        assert exhibit.scores["rule"] == pytest.approx(right / 10)


def test_an_arm_that_only_gains_has_no_losses_to_show(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    evaluations = make_evaluations(mle=0.2, rouge=0.8)
    settings = CompareSettings(resamples=50, num_examples=8)
    exhibits = compare(by_arm(evaluations), settings, 3).exhibits

    assert gains(exhibits, "losses") == []
    assert len(exhibits) == 8


def test_more_examples_than_there_are_shows_all(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=50, num_examples=1000)
    assert len(make_comparison(settings, mle=0.5, rouge=0.5).exhibits) == 60


def test_no_examples_are_shown_where_none_are_asked_for(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=50, num_examples=0)
    assert make_comparison(settings, mle=0.5, rouge=0.5).exhibits == ()
