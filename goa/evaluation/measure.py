"""Measuring one set of outputs by every metric."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goa.errors import DataError
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluators.contract import Evaluator, FloatArray, Metric, applicable, checked_score
from goa.records import Sample, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one metric says of one set of outputs."""

    name: str
    """The metric, or "<evaluator>.<part>" for one part of an evaluator's breakdown."""
    signature: str
    """The recipe behind the number."""
    higher_is_better: bool
    """False for descriptions that are neither good nor bad."""
    score: float | None
    """Corpus score; None where the metric applies to no sample."""
    low: float | None
    """Lower end of the bootstrap interval."""
    high: float | None
    """Upper end of the bootstrap interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What every metric says of one set of outputs."""

    measurements: Mapping[str, Measurement]
    """By name, in the order of the settings; parts follow their evaluator."""
    statistics: Mapping[str, FloatArray]
    """By the same names: [N, D] per sample, enough to resample the score without the texts."""
    values: Mapping[str, FloatArray]
    """By the same names: [N], the score of each sample by itself; nan where there is none."""


class Part(Evaluator):
    """One part of an evaluator's breakdown, as an evaluator of its own."""

    def __init__(self, whole: Evaluator, part: str) -> None:
        self.name = f"{whole.name}.{part}"
        self.higher_is_better = whole.higher_is_better
        self.reads_batch = whole.reads_batch
        self.draws = whole.draws
        self._whole = whole
        self._part = part

    @property
    def signature(self) -> str:  # type: ignore[override] # the whole's may need a model
        """The whole's signature, and which part of it this is."""
        return f"{self._whole.signature}|part:{self._part}"

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score N samples by the part alone."""
        return Scores(values=checked_score(self._whole, samples).parts[self._part])


def evaluate(
    samples: Sequence[Sample], metrics: Sequence[Metric], bootstrap: Bootstrap
) -> Evaluation:
    """Measure N samples by every metric, and by every part that an evaluator breaks into.

    Raises:
        DataError: there are no samples.
        EvaluatorError: a metric cannot score a sample.
    """
    if not samples:
        raise DataError("nothing to evaluate: there are no outputs; is the test split empty?")
    found = [each for metric in metrics for each in _gather(metric, samples)]
    resampled = bootstrap.scores(
        [each.metric for each in found], [each.statistics for each in found]
    )
    return Evaluation(
        measurements={
            each.metric.name: _summarize(each, bootstrap.interval(scores))
            for each, scores in zip(found, resampled, strict=True)
        },
        statistics={each.metric.name: each.statistics for each in found},
        values={each.metric.name: each.values for each in found},
    )


def as_number(value: float) -> float | None:
    """Give None for nan, which JSON cannot say."""
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    metric: Metric
    statistics: FloatArray
    values: FloatArray


def _gather(metric: Metric, samples: Sequence[Sample]) -> Iterator[_Gathered]:
    """Score the samples once; give the metric, then each part of its breakdown."""
    if not isinstance(metric, Evaluator):
        statistics = metric.statistics(samples)
        yield _Gathered(metric=metric, statistics=statistics, values=metric.corpus(statistics))
        return
    scores = checked_score(metric, samples)
    # The statistics of an evaluator that averages are its values: scoring again would be waste.
    statistics = applicable(scores.values) if metric.averages else metric.statistics(samples)
    yield _Gathered(metric=metric, statistics=statistics, values=_as_array(scores.values))
    for part, column in scores.parts.items():
        yield _Gathered(
            metric=Part(metric, part), statistics=applicable(column), values=_as_array(column)
        )


def _as_array(values: Sequence[float | None]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)  # None becomes nan


def _summarize(gathered: _Gathered, interval: tuple[float, float]) -> Measurement:
    metric, (low, high) = gathered.metric, interval
    return Measurement(
        name=metric.name,
        signature=metric.signature,
        higher_is_better=metric.higher_is_better,
        score=as_number(float(metric.corpus(gathered.statistics.sum(axis=0)))),
        low=as_number(low),
        high=as_number(high),
    )
