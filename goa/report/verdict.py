"""Which arm is best, and whether that can be told from chance."""

from collections.abc import Sequence

from goa.report.change import Change
from goa.report.comparison import Cell, ComparedArm, Verdict
from goa.report.numbers import say_delta, say_p_value, say_score


def decide(row: Sequence[Cell], arms: Sequence[ComparedArm], confidence: float) -> Verdict:
    """Name the winner among the cells of one strategy and metric, the baseline's first.

    The best fine-tuned arm wins where it is significantly better than the baseline; the
    correction for having picked the best of several is Holm's, in the adjusted p-values.
    """
    baseline, *others = row
    controls = {arm.name for arm in arms if arm.control is not None}
    tested = [cell for cell in others if cell.change and cell.change.delta is not None]
    measured = [cell for cell in tested if cell.arm not in controls]
    best = max(measured, key=lambda cell: cell.score or 0.0, default=None)
    won = best is not None and best.change is not None and best.change.effect == "better"
    return Verdict(
        strategy=baseline.strategy,
        metric=baseline.metric,
        best=best.arm if best else None,
        winner=best.arm if best and won else baseline.arm,
        sentence=_sentence(baseline, best, len(tested), confidence),
        facts=(),
    )


def _sentence(baseline: Cell, best: Cell | None, num_arms: int, confidence: float) -> str:
    where = f"{baseline.strategy} {baseline.metric}"
    if best is None or best.change is None or best.change.delta is None:
        return f"Nothing can be compared with {baseline.arm} by {where}."
    evidence = _evidence(best.change, num_arms, confidence)
    scores = f"{say_score(best.score)} against {say_score(baseline.score)}"
    if best.change.effect == "better":
        return f"{best.arm} is best: {where} {scores} for {baseline.arm}, {evidence}."
    if best.change.delta > 0:
        return (
            f"No arm is significantly better than {baseline.arm} by {where}; "
            f"{best.arm} comes closest: {scores}, {evidence}."
        )
    return (
        f"No arm is better than {baseline.arm} by {where}; "
        f"the best of them, {best.arm}: {scores}, {evidence}."
    )


def _evidence(change: Change, num_arms: int, confidence: float) -> str:
    interval = f"[{say_delta(change.low)}, {say_delta(change.high)}]"
    corrected = f", corrected for {num_arms} arms" if num_arms > 1 else ""
    return (
        f"{say_delta(change.delta)} ({confidence:.0%} interval {interval}, "
        f"{say_p_value(change.adjusted_p_value)}{corrected})"
    )
