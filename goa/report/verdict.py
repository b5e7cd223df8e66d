"""Which arm is best, and whether that can be told from chance."""

from collections.abc import Sequence

from goa.report.change import Change
from goa.report.comparison import Cell, ComparedArm, Verdict
from goa.report.evidence import Attribution, Bar
from goa.report.facts import find_facts, say_left
from goa.report.numbers import say_delta, say_interval, say_score, say_tests


def decide(
    row: Sequence[Cell],
    arms: Sequence[ComparedArm],
    confidence: float,
    attributions: Sequence[Attribution] = (),
    bar: Bar | None = None,
) -> Verdict:
    """Name the winner among the cells of one strategy and metric, the baseline's first.

    The best fine-tuned arm wins where it is significantly better than the baseline; the
    correction for having picked the best of several is Holm's, in the adjusted p-values. What
    controls and decoding alone reach is told, and takes nothing from the winner.
    """
    baseline, *others = row
    controls = {arm.name for arm in arms if arm.control is not None}
    rewarded = [cell for cell in others if cell.arm not in controls]
    measured = [cell for cell in rewarded if cell.change and cell.change.delta is not None]
    best = max(measured, key=lambda cell: cell.score or 0.0, default=None)
    won = best is not None and best.change is not None and best.change.effect == "better"
    told = [_sentence(baseline, best, len(measured), confidence)]
    owed = None if best is None else _attribution_of(best, attributions)
    if won and owed is not None:
        told.append(say_left(owed))
    if bar is not None and bar.any_time is not None and bar.any_time.outcome == "reached":
        told.append(bar.sentence)
    return Verdict(
        strategy=baseline.strategy,
        metric=baseline.metric,
        best=best.arm if best else None,
        winner=best.arm if best and won else baseline.arm,
        headline=_headline(baseline, best, owed if won else None, bar),
        sentence=" ".join(told),
        facts=find_facts(baseline, best, len(measured), owed, bar) if best else (),
    )


def _attribution_of(cell: Cell, attributions: Sequence[Attribution]) -> Attribution | None:
    key = (cell.strategy, cell.metric, cell.arm)
    found = [each for each in attributions if (each.strategy, each.metric, each.arm) == key]
    return found[0] if found else None


def _headline(baseline: Cell, best: Cell | None, owed: Attribution | None, bar: Bar | None) -> str:
    said = _finding(baseline, best, "")
    if owed is not None and owed.left.effect == "better":
        said += f" {say_delta(owed.left.delta)} is left beside its best control."
    elif owed is not None:
        said += " Beside its best control, chance may explain what is left."
    if bar is not None and bar.any_time is not None and bar.any_time.outcome == "reached":
        untrained = bar.any_time.untrained
        said += (
            f" Training was not worth it: {untrained.arm} decoded by {untrained.strategy} "
            f"reaches {say_score(untrained.score)}."
        )
    return said


def _sentence(baseline: Cell, best: Cell | None, num_arms: int, confidence: float) -> str:
    change = best.change if best else None
    evidence = f", {_evidence(change, num_arms, confidence)}" if change else ""
    return _finding(baseline, best, evidence)


def _finding(baseline: Cell, best: Cell | None, evidence: str) -> str:
    """Say what was found in a sentence that ends with the evidence."""
    where = f"{baseline.strategy} {baseline.metric}"
    if best is None or best.change is None or best.change.delta is None:
        return f"Nothing can be compared with {baseline.arm} by {where}."
    scores = f"{say_score(best.score)} against {say_score(baseline.score)}"
    if best.change.effect == "better":
        return f"{best.arm} is best: {where} {scores} for {baseline.arm}{evidence}."
    if best.change.delta > 0:
        return (
            f"No arm is significantly better than {baseline.arm} by {where}; "
            f"{best.arm} comes closest: {scores}{evidence}."
        )
    return (
        f"No arm is better than {baseline.arm} by {where}; "
        f"the best of them, {best.arm}: {scores}{evidence}."
    )


def _evidence(change: Change, num_arms: int, confidence: float) -> str:
    corrected = f", corrected for {num_arms} arms" if num_arms > 1 else ""
    return (
        f"{say_delta(change.delta)} ({confidence:.0%} interval {say_interval(change)}, "
        f"{say_tests(change)}{corrected})"
    )
