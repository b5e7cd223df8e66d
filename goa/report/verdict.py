"""Which policy is best, and whether that can be told from chance."""

from collections.abc import Sequence

from goa.report.comparison import Cell, Change, Verdict
from goa.report.numbers import say_delta, say_p_value, say_score


def decide(row: Sequence[Cell], confidence: float) -> Verdict:
    """Name the winner among the cells of one strategy and metric, the baseline's first.

    The best fine-tuned policy wins where it is significantly better than the baseline; the
    correction for having picked the best of several is Holm's, in the adjusted p-values.
    """
    baseline, *others = row
    measured = [cell for cell in others if cell.change and cell.change.delta is not None]
    best = max(measured, key=lambda cell: cell.score or 0.0, default=None)
    won = best is not None and best.change is not None and best.change.effect == "better"
    return Verdict(
        strategy=baseline.strategy,
        metric=baseline.metric,
        best=best.policy if best else None,
        winner=best.policy if best and won else baseline.policy,
        sentence=_sentence(baseline, best, len(measured), confidence),
    )


def _sentence(baseline: Cell, best: Cell | None, num_policies: int, confidence: float) -> str:
    where = f"{baseline.strategy} {baseline.metric}"
    if best is None or best.change is None or best.change.delta is None:
        return f"Nothing can be compared with {baseline.policy} by {where}."
    evidence = _evidence(best.change, num_policies, confidence)
    scores = f"{say_score(best.score)} against {say_score(baseline.score)}"
    if best.change.effect == "better":
        return f"{best.policy} is best: {where} {scores} for {baseline.policy}, {evidence}."
    if best.change.delta > 0:
        return (
            f"No policy is significantly better than {baseline.policy} by {where}; "
            f"{best.policy} comes closest: {scores}, {evidence}."
        )
    return (
        f"No policy is better than {baseline.policy} by {where}; "
        f"the best of them, {best.policy}: {scores}, {evidence}."
    )


def _evidence(change: Change, num_policies: int, confidence: float) -> str:
    interval = f"[{say_delta(change.low)}, {say_delta(change.high)}]"
    corrected = f", corrected for {num_policies} policies" if num_policies > 1 else ""
    return (
        f"{say_delta(change.delta)} ({confidence:.0%} interval {interval}, "
        f"{say_p_value(change.adjusted_p_value)}{corrected})"
    )
