"""How far an arm is from another by one measure, and whether that can be told from chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from goa.evaluation.bootstrap import holm
from goa.evaluation.measure import as_number
from goa.evaluation.significance import Contrast

Effect = Literal["better", "worse", "different", "none"]
"""What a change is: "different" where a measure has no better or worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How far an arm is from another by one measure; None where either has no score."""

    delta: float | None
    """Mean over seeds of the score less the other's."""
    low: float | None
    """Lower end of the bootstrap interval of the delta: test examples are resampled and, where
    there are several, seeds."""
    high: float | None
    """Upper end of the bootstrap interval of the delta."""
    p_value: float | None
    """Of the paired test over test examples."""
    adjusted_p_value: float | None
    """After correction for what was tested together: Holm's, over the changes by this measure and
    strategy, unless it is said to be another."""
    seeds_p_value: float | None
    """Of Student's t over the seeds' deltas, two-sided; None with fewer than two seeds."""
    adjusted_seeds_p_value: float | None
    """After the same correction."""
    effect: Effect
    """Whether the change is significant, and which way: with several seeds, both corrected
    p-values have to say so."""


Adjust = Callable[[Sequence[float]], list[float]]
"""Corrects p-values for having been tested together."""


def correct(
    contrasts: Sequence[Contrast],
    higher_is_better: bool,
    significance: float,
    adjust: Adjust = holm,
) -> list[Change]:
    """Correct contrasts by one measure for having tested all of them, and say what they are.

    Both families of p-values are corrected, by Holm's method if by no other. A change is
    significant where the test over test examples says so and, with several seeds, the test over
    seeds too: each hypothesis is given up only if both tests give it up (an intersection-union
    test, Berger 1982), which needs no further correction.
    """
    adjusted = adjust([each.p_value for each in contrasts])
    over_seeds = adjust([each.seeds_p_value for each in contrasts])
    return [
        Change(
            delta=as_number(each.delta),
            low=as_number(each.low),
            high=as_number(each.high),
            p_value=as_number(each.p_value),
            adjusted_p_value=as_number(p_value),
            seeds_p_value=as_number(each.seeds_p_value),
            adjusted_seeds_p_value=as_number(seeds_p_value),
            effect=_effect(each.delta, (p_value, seeds_p_value), higher_is_better, significance),
        )
        for each, p_value, seeds_p_value in zip(contrasts, adjusted, over_seeds, strict=True)
    ]


def _effect(
    delta: float, p_values: tuple[float, float], higher_is_better: bool, significance: float
) -> Effect:
    over_examples, over_seeds = p_values
    certain = over_examples < significance and (np.isnan(over_seeds) or over_seeds < significance)
    if not certain or delta == 0:
        return "none"
    if not higher_is_better:
        return "different"
    return "better" if delta > 0 else "worse"
