"""How much of a gain is left once what a control gains is taken away."""

from collections.abc import Iterator, Sequence

import numpy as np

from goa.evaluation.measure import as_number
from goa.evaluation.significance import Contrast, in_pairs
from goa.report.change import correct
from goa.report.comparison import ComparedArm, Measure
from goa.report.evidence import Attribution
from goa.report.field import Field


def attribute(
    field: Field, arms: Sequence[ComparedArm], measures: Sequence[Measure]
) -> Iterator[Attribution]:
    """Hold every arm that has controls against the best of them, measure by measure.

    With s the mean score over seeds, what is left of ``s(arm) - s(baseline)`` is
    ``s(arm) - s(control)`` of the control with the highest s by this measure: the baseline drops
    out, and with it the luck of its outputs. Of the other controls more is left.

    Family: the arms with controls, by one measure and one strategy; Holm. That the control was
    picked for its score is not corrected for, since it can only make less of what is left.
    """
    controls = {
        arm.name: [x.name for x in arms if x.control and x.evaluator == arm.evaluator]
        for arm in arms
        if arm.evaluator and arm.control is None
    }
    contrasts = {
        (arm, control): field.tests.contrast(in_pairs(field.policies[arm], field.policies[control]))
        for arm, names in controls.items()
        for control in names
    }
    for measure in measures:
        if measure.higher_is_better:
            best = _best_controls(field, controls, measure.name)
            found = [contrasts[pair][measure.name] for pair in best.items()]
            yield from _attributions(field, measure, best, found)


def _best_controls(field: Field, controls: dict[str, list[str]], metric: str) -> dict[str, str]:
    """Name the best control of each arm that has one with a score."""
    best = {}
    for arm, names in controls.items():
        scores = {name: field.score(name, metric) for name in names}
        known = [name for name in names if np.isfinite(scores[name])]
        if known:
            best[arm] = max(known, key=scores.__getitem__)
    return best


def _attributions(
    field: Field, measure: Measure, best: dict[str, str], contrasts: Sequence[Contrast]
) -> Iterator[Attribution]:
    changes = correct(contrasts, measure.higher_is_better, field.significance)
    baseline = field.score(field.baseline, measure.name)
    for (arm, control), left in zip(best.items(), changes, strict=True):
        yield Attribution(
            strategy=field.strategy,
            metric=measure.name,
            arm=arm,
            control=control,
            gain=as_number(field.score(arm, measure.name) - baseline),
            control_gain=as_number(field.score(control, measure.name) - baseline),
            left=left,
        )
