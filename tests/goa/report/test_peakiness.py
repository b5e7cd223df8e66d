"""How sure arms are of the next token, beside the baseline."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from goa.evaluation.peakiness import RANKS, Peakiness
from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.evidence import ArmPeakiness
from goa.report.markdown import render_markdown
from goa.report.peakiness import peakiness_by_arm
from goa.report.settings import CompareSettings

MakeEvaluations = Callable[..., list[PolicyEvaluation]]
MakeComparison = Callable[..., Comparison]
ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]


def of(value: float) -> Peakiness:
    """Be as sure as this, in every respect."""
    return Peakiness(
        entropy=2 * value,
        top_1_mass=value,
        top_10_mass=value,
        reference_probability=value,
        rank_shares={**dict.fromkeys(RANKS, 0.0), "1": value, "2": 1 - value},
    )


def test_seeds_are_averaged_arm_by_arm(make_evaluations: MakeEvaluations, by_arm: ByArm) -> None:
    found = make_evaluations(**{"mle": 0.5, "bleu-1": 0.5, "bleu-2": 0.5})
    values = (0.25, 0.5, 0.75)
    found = [replace(each, peakiness=of(x)) for each, x in zip(found, values, strict=True)]
    comparison = compare(by_arm(found), CompareSettings(resamples=20), seed=3)
    assert comparison.peakiness == (
        ArmPeakiness(arm="mle", peakiness=of(0.25)),
        ArmPeakiness(arm="bleu", peakiness=of(0.625)),
    )


def test_nothing_is_said_where_a_policy_was_not_measured(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, bleu = make_evaluations(mle=0.5, bleu=0.5)
    entrants = by_arm([replace(mle, peakiness=of(0.25)), bleu])
    assert peakiness_by_arm(entrants) == ()


def test_the_page_has_values_and_changes_from_the_baseline(comparison: Comparison) -> None:
    told = tuple(
        ArmPeakiness(arm=arm, peakiness=of(value))
        for arm, value in zip(comparison.names, (0.25, 0.5, 0.125), strict=True)
    )
    page = render_markdown(replace(comparison, peakiness=told), {})
    lines = page.split("## Peakiness\n", maxsplit=1)[1].splitlines()
    rows = {
        cells[0]: cells[1:]
        for line in lines
        if line.startswith("| ")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert rows["entropy, nats per token"] == ["0.500", "1.000 (+0.500)", "0.250 (−0.250)"]
    assert rows["mass of the likeliest token"] == ["25.00", "50.00 (+25.00)", "12.50 (−12.50)"]
    assert rows["reference's tokens of rank 1"] == rows["mass of the likeliest token"]
    assert rows["reference's tokens of rank 2"] == ["75.00", "50.00 (−25.00)", "87.50 (+12.50)"]
    assert rows["reference's tokens of rank 101+"] == ["0.00", "0.00 (0.00)", "0.00 (0.00)"]
    assert "Choshen et al. 2020" in page


def test_the_page_is_silent_where_there_is_nothing_to_say(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    assert "## Peakiness" not in page
    assert "## Guards" not in page
