"""The verdict: who wins, and in what words."""

from collections.abc import Callable

import pytest

from goa.arms import Control
from goa.report.change import Change, Effect
from goa.report.comparison import Cell, ComparedArm, Comparison, Verdict
from goa.report.verdict import decide

MakeComparison = Callable[..., Comparison]


def cell(arm: str, score: float | None, effect: Effect = "none", baseline: float = 0.4) -> Cell:
    change = Change(
        delta=None if score is None else score - baseline,
        low=-0.01,
        high=0.03,
        p_value=0.004,
        adjusted_p_value=0.012,
        seeds_p_value=None,
        adjusted_seeds_p_value=None,
        effect=effect,
    )
    return Cell(
        strategy="greedy",
        arm=arm,
        metric="bleu",
        score=score,
        scores=(score,),
        spread=None,
        low=score,
        high=score,
        trained_on=arm == "bleu",
        change=None if arm == "mle" else change,
    )


def verdict_of(*row: Cell, confidence: float = 0.95, **controls: Control) -> Verdict:
    """Decide among cells; those named as controls are arms beside bleu."""
    arms = [
        ComparedArm(
            name=each.arm,
            evaluator="bleu",
            control=controls.get(each.arm),
            seeds=(17,),
            policies=(f"{each.arm}-17",),
        )
        for each in row
    ]
    return decide(row, arms, confidence)


def test_a_significantly_better_arm_wins() -> None:
    row = [cell("mle", 0.4), cell("bleu", 0.42, "better"), cell("rule", 0.3, "worse")]
    verdict = verdict_of(*row)

    assert (verdict.winner, verdict.best) == ("bleu", "bleu")
    assert verdict.headline == "bleu is best: greedy bleu 42.00 against 40.00 for mle."
    assert verdict.sentence == (
        "bleu is best: greedy bleu 42.00 against 40.00 for mle, "
        "+2.00 (95% interval [−1.00, +3.00], p = 0.012, corrected for 2 arms)."
    )


def test_the_baseline_stays_where_the_gain_is_not_significant() -> None:
    verdict = verdict_of(cell("mle", 0.4), cell("bleu", 0.405), cell("rule", 0.3, "worse"))

    assert (verdict.winner, verdict.best) == ("mle", "bleu")
    assert verdict.headline == (
        "No arm is significantly better than mle by greedy bleu; "
        "bleu comes closest: 40.50 against 40.00."
    )
    assert verdict.sentence.startswith(
        "No arm is significantly better than mle by greedy bleu; "
        "bleu comes closest: 40.50 against 40.00, +0.50 ("
    )


@pytest.mark.parametrize("effect", ["worse", "none"])
def test_the_baseline_stays_where_every_arm_is_worse(effect: Effect) -> None:
    verdict = verdict_of(cell("mle", 0.4), cell("bleu", 0.38, effect), confidence=0.9)

    assert (verdict.winner, verdict.best) == ("mle", "bleu")
    assert verdict.sentence == (
        "No arm is better than mle by greedy bleu; the best of them, bleu: "
        "38.00 against 40.00, −2.00 (90% interval [−1.00, +3.00], p = 0.012)."
    )


def test_the_highest_score_is_best_not_the_arm_trained_on_the_metric() -> None:
    row = [cell("mle", 0.4), cell("bleu", 0.42, "better"), cell("rouge", 0.43, "better")]
    assert verdict_of(*row).winner == "rouge"


def test_the_baseline_alone_has_nothing_to_be_compared_with() -> None:
    verdict = verdict_of(cell("mle", 0.4))

    assert (verdict.winner, verdict.best) == ("mle", None)
    assert verdict.sentence == "Nothing can be compared with mle by greedy bleu."


def test_an_arm_without_a_score_cannot_win() -> None:
    assert verdict_of(cell("mle", 0.4), cell("bleu", None)).best is None


def test_real_outputs_that_are_better_win(make_comparison: MakeComparison) -> None:
    assert make_comparison(mle=0.5, rouge=0.6, rule=0.4).verdict.winner == "rouge"


def test_real_outputs_that_are_no_different_do_not_win(make_comparison: MakeComparison) -> None:
    assert make_comparison(mle=0.5, rouge=0.5, rule=0.5).verdict.winner == "mle"


def test_real_outputs_that_are_worse_do_not_win(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(mle=0.5, rouge=0.3, rule=0.4)

    assert (comparison.verdict.winner, comparison.verdict.best) == ("mle", "rule")


def test_a_control_is_not_the_best_whatever_its_score() -> None:
    others = [cell("bleu", 0.42, "better"), cell("rouge", 0.41), cell("luck", 0.43, "better")]
    verdict = verdict_of(cell("mle", 0.4), *others, luck="shuffled")

    assert (verdict.winner, verdict.best) == ("bleu", "bleu")
    assert "corrected for 2 arms" in verdict.sentence
