"""Testing every policy against the baseline, on resamples that all of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goa.errors import DataError, SettingsError
from goa.evaluation.bootstrap import Bootstrap, holm, paired_p_value
from goa.evaluation.measure import as_number
from goa.evaluation.storage import PolicyEvaluation, rebuild_metric
from goa.evaluators.contract import FloatArray, Metric
from goa.report.comparison import Cell, Change, Comparison, Effect, Measure
from goa.report.exhibits import choose_exhibits
from goa.report.settings import CompareSettings
from goa.report.verdict import decide

Resampled = Mapping[str, Mapping[str, FloatArray]]
"""Policy -> metric -> scores of the R resamples, [R]."""


def compare(
    evaluations: Sequence[PolicyEvaluation], settings: CompareSettings, seed: int
) -> Comparison:
    """Compare policies; the first one is the baseline of every test.

    Raises:
        DataError: the policies were not evaluated on the same examples in the same ways.
        SettingsError: the primary metric was not measured, or has no better or worse.
    """
    baseline = evaluations[0]
    for other in evaluations[1:]:
        _check_alike(baseline, other)
    strategies = tuple(baseline.evaluations)
    measures = _measures(baseline)
    primary = _primary(measures, settings)
    bootstrap = Bootstrap(seed=seed, resamples=settings.resamples, confidence=settings.confidence)
    metrics = [rebuild_metric(baseline, measure.name) for measure in measures]
    cells: list[Cell] = []
    for strategy in strategies:
        resampled = {
            evaluation.policy: _resample(evaluation, strategy, metrics, bootstrap)
            for evaluation in evaluations
        }
        for measure in measures:
            row = _Row(
                strategy=strategy,
                measure=measure,
                trained_on=frozenset(
                    other.name for other in measures if other.signature == measure.signature
                ),
                bootstrap=bootstrap,
                significance=settings.significance,
            )
            cells.extend(row.cells(evaluations, resampled))
    verdict = decide(
        [cell for cell in cells if (cell.strategy, cell.metric) == (strategies[0], primary.name)],
        settings.confidence,
    )
    return Comparison(
        policies=tuple(evaluation.policy for evaluation in evaluations),
        strategies=strategies,
        measures=measures,
        cells=tuple(cells),
        verdict=verdict,
        exhibits=choose_exhibits(evaluations, verdict, settings.num_examples, seed),
        num_examples=len(baseline.examples),
        seed=seed,
        resamples=settings.resamples,
        confidence=settings.confidence,
        significance=settings.significance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One measure under one strategy: the cells of all policies, tested together."""

    strategy: str
    measure: Measure
    trained_on: frozenset[str]
    """The policies trained on this measure."""
    bootstrap: Bootstrap
    significance: float

    def cells(self, evaluations: Sequence[PolicyEvaluation], resampled: Resampled) -> list[Cell]:
        name = self.measure.name
        scores = [
            _nan_for_none(evaluation.evaluations[self.strategy].measurements[name].score)
            for evaluation in evaluations
        ]
        draws = [resampled[evaluation.policy][name] for evaluation in evaluations]
        changes = [None, *self._changes(scores, draws)]
        intervals = [self.bootstrap.interval(each) for each in draws]
        return [
            Cell(
                strategy=self.strategy,
                policy=evaluation.policy,
                metric=name,
                score=as_number(score),
                low=as_number(low),
                high=as_number(high),
                trained_on=evaluation.policy in self.trained_on,
                change=change,
            )
            for evaluation, score, (low, high), change in zip(
                evaluations, scores, intervals, changes, strict=True
            )
        ]

    def _changes(self, scores: list[float], draws: list[FloatArray]) -> list[Change]:
        deltas = [score - scores[0] for score in scores[1:]]
        p_values = [
            paired_p_value(each, draws[0], delta)
            for each, delta in zip(draws[1:], deltas, strict=True)
        ]
        intervals = [self.bootstrap.interval(each - draws[0]) for each in draws[1:]]
        return [
            Change(
                delta=as_number(delta),
                low=as_number(low),
                high=as_number(high),
                p_value=as_number(p_value),
                adjusted_p_value=as_number(adjusted),
                effect=self._effect(delta, adjusted),
            )
            for delta, (low, high), p_value, adjusted in zip(
                deltas, intervals, p_values, holm(p_values), strict=True
            )
        ]

    def _effect(self, delta: float, adjusted_p_value: float) -> Effect:
        if not adjusted_p_value < self.significance or delta == 0:
            return "none"
        if not self.measure.higher_is_better:
            return "different"
        return "better" if delta > 0 else "worse"


def _resample(
    evaluation: PolicyEvaluation, strategy: str, metrics: Sequence[Metric], bootstrap: Bootstrap
) -> dict[str, FloatArray]:
    statistics = evaluation.evaluations[strategy].statistics
    names = [metric.name for metric in metrics]
    scores = bootstrap.scores(metrics, [statistics[name] for name in names])
    return dict(zip(names, scores, strict=True))


def _measures(evaluation: PolicyEvaluation) -> tuple[Measure, ...]:
    first = next(iter(evaluation.evaluations.values()))
    return tuple(
        Measure(
            name=found.name,
            kind=evaluation.metrics[found.name.partition(".")[0]].kind,
            signature=found.signature,
            higher_is_better=found.higher_is_better,
        )
        for found in first.measurements.values()
    )


def _primary(measures: Sequence[Measure], settings: CompareSettings) -> Measure:
    name = settings.primary_metric or measures[0].name
    known = {measure.name: measure for measure in measures}
    directed = ", ".join(measure.name for measure in measures if measure.higher_is_better)
    if name not in known:
        raise SettingsError(f"compare.primary_metric: {name!r} was not measured; use {directed}")
    if not known[name].higher_is_better:
        raise SettingsError(
            f"compare.primary_metric: {name!r} is neither better nor worse when it rises; "
            f"use {directed}"
        )
    return known[name]


def _check_alike(baseline: PolicyEvaluation, other: PolicyEvaluation) -> None:
    pairs = {
        "test examples": (baseline.examples, other.examples),
        "strategies": (list(baseline.evaluations), list(other.evaluations)),
        "metric settings": (baseline.metrics, other.metrics),
        "measures": (_signatures(baseline), _signatures(other)),
    }
    for what, (expected, found) in pairs.items():
        if expected != found:
            raise DataError(
                f"policies {baseline.policy!r} and {other.policy!r} were evaluated with different "
                f"{what}; evaluate both again"
            )


def _signatures(evaluation: PolicyEvaluation) -> dict[tuple[str, str], str]:
    return {
        (strategy, name): measurement.signature
        for strategy, found in evaluation.evaluations.items()
        for name, measurement in found.measurements.items()
    }


def _nan_for_none(value: float | None) -> float:
    return np.nan if value is None else value
