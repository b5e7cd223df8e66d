"""What the verdict rests on, line by line."""

from collections.abc import Iterator

from goa.report.comparison import Cell, Fact
from goa.report.evidence import Attribution, Bar
from goa.report.numbers import (
    say_delta,
    say_interval,
    say_p_value,
    say_score,
    say_tests,
)
from goa.report.quantities import say_short_time


def find_facts(
    baseline: Cell, best: Cell, num_arms: int, owed: Attribution | None, bar: Bar | None
) -> tuple[Fact, ...]:
    """Say of the best arm how much better, how sure, owing to what, at what cost.

    Args:
        baseline: what it is held against.
        best: of the arms that an evaluator rewarded.
        num_arms: tested together.
        owed: what is left of its gain beside its best control; None without controls.
        bar: what decoding alone reaches, and times, where they are known.
    """
    return tuple(_facts(baseline, best, num_arms, owed, bar))


def say_left(owed: Attribution) -> str:
    """Say in a sentence what is left of a gain."""
    left = owed.left
    sentence = (
        f"Of {say_delta(owed.gain)} {owed.metric}, {say_delta(left.delta)} {say_interval(left)} "
        f"({say_tests(left)}) is left once the best control, {owed.control} "
        f"({say_delta(owed.control_gain)}), is taken away"
    )
    if left.effect == "none" and (left.delta or 0.0) > 0:
        return f"{sentence}, which chance may explain."
    return f"{sentence}."


def _facts(
    baseline: Cell, best: Cell, num_arms: int, owed: Attribution | None, bar: Bar | None
) -> Iterator[Fact]:
    if best.change is not None:
        yield Fact(
            name="how much better",
            text=(
                f"{say_delta(best.change.delta)} {best.metric} {say_interval(best.change)}: "
                f"{say_score(best.score)} against {say_score(baseline.score)}"
            ),
        )
    yield Fact(name="how sure", text=_sureness(best, num_arms))
    yield Fact(
        name="owing to what",
        text=f"not known: no control stands beside {best.arm}" if owed is None else say_left(owed),
    )
    if bar is not None:
        yield Fact(name="against decoding alone", text=bar.sentence)
        times = {(point.arm, point.strategy): point.seconds for point in bar.points}
        ours = times.get((best.arm, best.strategy))
        theirs = times.get((baseline.arm, baseline.strategy))
        if ours is not None and theirs is not None:
            text = f"{say_short_time(ours)} a sentence, {say_short_time(theirs)} for {baseline.arm}"
            yield Fact(name="at what cost to decode", text=text)


def _sureness(best: Cell, num_arms: int) -> str:
    change = best.change
    corrected = f", corrected for {num_arms} arms" if num_arms > 1 else ""
    over_examples = say_p_value(change.adjusted_p_value if change else None)
    if len(best.scores) < 2:
        return (
            f"{over_examples} over test examples{corrected}; of one training run, so nothing is "
            "known of the luck of training"
        )
    over_seeds = say_p_value(change.adjusted_seeds_p_value if change else None)
    spread = "" if best.spread is None else f", whose scores spread by {100 * best.spread:.2f}"
    return (
        f"{over_examples} over test examples, {over_seeds} over {len(best.scores)} seeds"
        f"{corrected}{spread}"
    )
