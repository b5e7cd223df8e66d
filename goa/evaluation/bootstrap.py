"""How sure a corpus score is: bootstrap resampling over segments.

Segments are drawn with replacement, as many as there are; a draw is a row of weights over the
segments, and weights times statistics is the summed statistics of that draw. All metrics and
all policies of one test set see the same draws, so that their scores can be compared in pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goa.errors import DataError
from goa.evaluators.contract import FloatArray, Metric
from goa.randomness import generator

CHUNK_WEIGHTS = 4_000_000
"""Weights held at a time: 32 MB, however many segments and resamples there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Draws of segments, fixed by seed, number of draws and number of segments."""

    seed: int
    """Base seed; equal seeds give equal draws, in every stage and process."""
    resamples: int = 1000
    """R, how many draws."""
    confidence: float = 0.95
    """Share of the resampled scores that an interval holds."""

    def scores(
        self, metrics: Sequence[Metric], statistics: Sequence[FloatArray]
    ) -> list[FloatArray]:
        """Score every draw by every metric, each [R], from each metric's statistics [N, D].

        A score is nan in a draw that holds no segment the metric applies to.

        Raises:
            DataError: there are no segments.
        """
        if not metrics:
            return []
        joined = np.concatenate(statistics, axis=1)
        sums = np.concatenate([weights @ joined for weights in self.weights(len(joined))])
        return score_joined(metrics, sums, statistics)

    def weights(self, num_segments: int) -> Iterator[FloatArray]:
        """Draw how often each segment counts, [R, N] in chunks of rows; each row sums to N.

        Raises:
            DataError: there are no segments.
        """
        if not num_segments:
            raise DataError("no segments to resample: the set of outputs is empty")
        rng = generator(self.seed, "bootstrap")
        chunk = max(1, CHUNK_WEIGHTS // num_segments)
        for start in range(0, self.resamples, chunk):
            num_rows = min(chunk, self.resamples - start)
            yield count_segments(rng.integers(num_segments, size=(num_rows, num_segments)))

    def interval(self, scores: FloatArray) -> tuple[float, float]:
        """Give the percentile interval of resampled scores [R]; nan, nan if none is a number."""
        numbers = scores[np.isfinite(scores)]
        if not numbers.size:
            return np.nan, np.nan
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(numbers, [tail, 1 - tail])
        return float(low), float(high)


def score_joined(
    metrics: Sequence[Metric], sums: FloatArray, statistics: Sequence[FloatArray]
) -> list[FloatArray]:
    """Score sums of all metrics' statistics, [..., D1 + D2 + ...], metric by metric: each [...].

    Args:
        metrics: in the order of their statistics.
        sums: of statistics that stand side by side.
        statistics: each metric's, [N, D], which say where one's end and the next one's begin.
    """
    ends = np.cumsum([rows.shape[1] for rows in statistics])[:-1]
    columns = np.split(sums, ends, axis=-1)
    return [metric.corpus(own) for metric, own in zip(metrics, columns, strict=True)]


def count_segments(indices: npt.NDArray[np.int64]) -> FloatArray:
    """Turn drawn segment numbers [R, N] into weights [R, N]: how often each was drawn."""
    num_rows, num_segments = indices.shape
    offsets = num_segments * np.arange(num_rows)[:, None]
    counts = np.bincount((indices + offsets).ravel(), minlength=indices.size)
    return counts.reshape(num_rows, num_segments).astype(np.float64)


def paired_p_value(scores: FloatArray, baseline: FloatArray, difference: float) -> float:
    """Test whether a policy differs from a baseline, from the same R draws of both.

    With ``d = |scores - baseline|`` over the draws, ``c`` of which have
    ``d - mean(d) > |difference|``, the p-value is ``(c + 1) / (R + 1)``: the paired bootstrap
    of Koehn (2004) in the form that sacrebleu's ``--paired-bs`` gives it. It works as a one-sided
    test of the direction that was seen: of equal policies, 5% come out better with p < 0.05, and
    5% worse.

    Departure: 1.0, not 1 / (R + 1), where the two agree in every draw, and nan where the
    difference is not a number. Draws in which either score is nan are left out.
    """
    apart = np.abs(scores - baseline)
    apart = apart[np.isfinite(apart)]
    if not apart.size or not np.isfinite(difference):
        return float("nan")
    if not apart.any():
        return 1.0
    extreme = int(np.sum(apart - apart.mean() > abs(difference)))
    return (extreme + 1) / (apart.size + 1)


def bonferroni(p_values: Sequence[float], num_tests: int) -> list[float]:
    """Multiply p-values by how many tests the one that is told was picked from; nan stays nan."""
    return [float(np.minimum(1.0, num_tests * p_value)) for p_value in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for having made all these comparisons (Holm 1979); nan stays nan.

    The k-th smallest of m is multiplied by m - k + 1, never falls below the one before, and
    never passes 1.
    """
    order = [place for place in np.argsort(p_values) if np.isfinite(p_values[place])]
    adjusted = [float("nan")] * len(p_values)
    floor = 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted
