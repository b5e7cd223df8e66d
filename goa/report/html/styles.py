"""How arms look, the same in every chart: a colour an evaluator, a dash a control."""

from collections.abc import Mapping

from goa.report.comparison import Comparison

NUM_COLOURS = 6
"""Colours of the page's style sheet, c0 to c5; more evaluators begin again."""


def arm_styles(comparison: Comparison) -> Mapping[str, str]:
    """Give each arm its classes: the baseline's is ``base``, others have a colour, and a dash."""
    styles = {}
    for arm in comparison.arms:
        colour = (
            f"c{comparison.evaluators.index(arm.evaluator) % NUM_COLOURS}"
            if arm.evaluator
            else "base"
        )
        styles[arm.name] = f"{colour} {arm.control}" if arm.control else colour
    return styles
