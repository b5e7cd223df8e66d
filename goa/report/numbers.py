"""Numbers as people read them: scores are multiplied by 100, and what is missing is a dash."""

from goa.report.change import Change, Effect
from goa.report.comparison import Comparison, Measure

MISSING = "–"
POINTS = 100.0
"""Of a score of 1."""
MARKS: dict[Effect, str] = {"better": "▲", "worse": "▼", "different": "◆", "none": ""}
"""What stands beside a significant change; the shape says the direction without colour."""


def say_score(score: float | None) -> str:
    """Write a score in [0, 1] as points: 0.3946 -> 39.46."""
    return MISSING if score is None else f"{100 * score:.2f}"


def say_delta(delta: float | None) -> str:
    """Write a change in points, with its sign: +1.06, −0.30."""
    if delta is None:
        return MISSING
    points = round(100 * delta, 2)
    return f"{points:+.2f}".replace("-", "−") if points else "0.00"


def say_interval(change: Change) -> str:
    """Write the interval of a change: [+0.40, +1.52]."""
    return f"[{say_delta(change.low)}, {say_delta(change.high)}]"


def say_tests(change: Change) -> str:
    """Write the corrected p-values of a change, over test examples and, if known, over seeds."""
    told = say_p_value(change.adjusted_p_value)
    if change.adjusted_seeds_p_value is None:
        return told
    return f"{told}, over seeds {say_p_value(change.adjusted_seeds_p_value)}"


def say_p_value(p_value: float | None) -> str:
    """Write a p-value with three digits: p = 0.021, p < 0.001."""
    if p_value is None:
        return f"p {MISSING}"
    return "p < 0.001" if p_value < 0.0005 else f"p = {p_value:.3f}"


def say_families(comparison: Comparison) -> str:
    """Say what is corrected for: the 2 arms or the 3 controls of its row; empty without any."""
    controls = {arm.name for arm in comparison.arms if arm.control is not None}
    told = [
        f"the {len(family)} {'controls' if controls.issuperset(family) else 'arms'}"
        for family in comparison.families
    ]
    return f"{' or '.join(told)} of its row" if told else ""


def mark(change: Change | None) -> str:
    """Give the mark of a significant change; empty for none."""
    return MARKS[change.effect] if change else ""


def label(measure: Measure) -> str:
    """Name a measure, and say so where its number is not what its name suggests."""
    return f"{measure.name} (1 − TER)" if measure.kind == "ter" else measure.name
