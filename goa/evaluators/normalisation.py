"""Values relative to those of the other candidates of the same source."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal

from goa.evaluators.siblings import siblings
from goa.records import Sample

Normalisation = Literal["none", "z_score", "rank"]

_NORMAL = NormalDist()


def normalise(
    values: Sequence[float | None], samples: Sequence[Sample], how: Normalisation
) -> tuple[float | None, ...]:
    """Compare each value with those of the candidates that samples give for an equal example, [N].

    ``none`` leaves values alone; ``z_score`` and ``rank`` are :func:`z_scores` and :func:`ranks`.
    What is None stays so, and is compared with nothing.

    The only value of its source stays as it is. It has nothing to be compared with, and any
    constant would hide what it is worth from metrics and validation, which score one output a
    source. Where candidates are compared, their values average to about 1/2 whatever they are
    worth: that teaches objectives that compare the candidates of a source, and no others.
    """
    if how == "none":
        return tuple(values)
    compare = _COMPARE[how]
    normalised = list(values)
    for rows in siblings(samples):
        known = [(row, value) for row in rows if (value := values[row]) is not None]
        if len(known) > 1:
            compared = compare([value for _, value in known])
            for (row, _), value in zip(known, compared, strict=True):
                normalised[row] = value
    return tuple(normalised)


def z_scores(values: Sequence[float]) -> list[float]:
    """Give Phi((r - mean) / std) of each of K values, with Phi the normal cdf; 1/2 if all equal."""
    if min(values) == max(values):
        return [0.5] * len(values)
    # fsum: the order of candidates must not show in the last digit.
    mean = math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    # Not squared by hand: deviations may be as small as floats go.
    norm = math.hypot(*sorted(deviations))
    return [_NORMAL.cdf(deviation / norm * math.sqrt(len(values))) for deviation in deviations]


def ranks(values: Sequence[float]) -> list[float]:
    """Give (rank - 1/2) / K of each of K values, ranks from 1 up; ties share their mean rank."""
    ordered = sorted(values)
    # The mean of the ranks left + 1 .. right, less 1/2.
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2 * len(values))
        for value in values
    ]


_COMPARE: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "z_score": z_scores,
    "rank": ranks,
}
