"""The verdict: who wins, and in what words."""

from collections.abc import Callable

import pytest

from goa.report.comparison import Cell, Change, Comparison, Effect
from goa.report.verdict import decide

MakeComparison = Callable[..., Comparison]


def cell(policy: str, score: float | None, effect: Effect = "none", baseline: float = 0.4) -> Cell:
    change = Change(
        delta=None if score is None else score - baseline,
        low=-0.01,
        high=0.03,
        p_value=0.004,
        adjusted_p_value=0.012,
        effect=effect,
    )
    return Cell(
        strategy="greedy",
        policy=policy,
        metric="bleu",
        score=score,
        low=score,
        high=score,
        trained_on=policy == "bleu",
        change=None if policy == "mle" else change,
    )


def test_a_significantly_better_policy_wins() -> None:
    row = [cell("mle", 0.4), cell("bleu", 0.42, "better"), cell("rule", 0.3, "worse")]
    verdict = decide(row, 0.95)

    assert (verdict.winner, verdict.best) == ("bleu", "bleu")
    assert verdict.sentence == (
        "bleu is best: greedy bleu 42.00 against 40.00 for mle, "
        "+2.00 (95% interval [−1.00, +3.00], p = 0.012, corrected for 2 policies)."
    )


def test_the_baseline_stays_where_the_gain_is_not_significant() -> None:
    verdict = decide([cell("mle", 0.4), cell("bleu", 0.405), cell("rule", 0.3, "worse")], 0.95)

    assert (verdict.winner, verdict.best) == ("mle", "bleu")
    assert verdict.sentence.startswith(
        "No policy is significantly better than mle by greedy bleu; "
        "bleu comes closest: 40.50 against 40.00, +0.50 ("
    )


@pytest.mark.parametrize("effect", ["worse", "none"])
def test_the_baseline_stays_where_every_policy_is_worse(effect: Effect) -> None:
    verdict = decide([cell("mle", 0.4), cell("bleu", 0.38, effect)], 0.9)

    assert (verdict.winner, verdict.best) == ("mle", "bleu")
    assert verdict.sentence == (
        "No policy is better than mle by greedy bleu; the best of them, bleu: "
        "38.00 against 40.00, −2.00 (90% interval [−1.00, +3.00], p = 0.012)."
    )


def test_the_highest_score_is_best_not_the_policy_trained_on_the_metric() -> None:
    row = [cell("mle", 0.4), cell("bleu", 0.42, "better"), cell("rouge", 0.43, "better")]
    assert decide(row, 0.95).winner == "rouge"


def test_the_baseline_alone_has_nothing_to_be_compared_with() -> None:
    verdict = decide([cell("mle", 0.4)], 0.95)

    assert (verdict.winner, verdict.best) == ("mle", None)
    assert verdict.sentence == "Nothing can be compared with mle by greedy bleu."


def test_a_policy_without_a_score_cannot_win() -> None:
    assert decide([cell("mle", 0.4), cell("bleu", None)], 0.95).best is None


def test_real_outputs_that_are_better_win(make_comparison: MakeComparison) -> None:
    assert make_comparison(mle=0.5, rouge=0.6, rule=0.4).verdict.winner == "rouge"


def test_real_outputs_that_are_no_different_do_not_win(make_comparison: MakeComparison) -> None:
    assert make_comparison(mle=0.5, rouge=0.5, rule=0.5).verdict.winner == "mle"


def test_real_outputs_that_are_worse_do_not_win(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(mle=0.5, rouge=0.3, rule=0.4)

    assert (comparison.verdict.winner, comparison.verdict.best) == ("mle", "rule")
