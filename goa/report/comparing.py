"""Testing every arm against the baseline, on resamples that all of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goa.errors import SettingsError
from goa.evaluation.alarms import GuardAlarm
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import as_number
from goa.evaluation.significance import Resampled, Significance, mean_draws
from goa.evaluation.storage import PolicyEvaluation, rebuild_metric
from goa.report.change import Change, correct
from goa.report.comparison import Cell, ComparedArm, Comparison, Measure
from goa.report.entrants import Entrant, check_alike
from goa.report.exhibits import choose_exhibits
from goa.report.peakiness import peakiness_by_arm
from goa.report.settings import CompareSettings
from goa.report.verdict import decide

Field = Mapping[str, Sequence[Resampled]]
"""By arm, the baseline first: its policies by one strategy."""


def compare(
    entrants: Sequence[Entrant],
    settings: CompareSettings,
    seed: int,
    alarms: Sequence[GuardAlarm] = (),
) -> Comparison:
    """Compare arms; the first one is the baseline of every test.

    Args:
        entrants: the arms.
        settings: how they are compared.
        seed: of the resamples, and of the examples drawn by lot.
        alarms: what training said of their guards.

    Raises:
        DataError: the policies were not evaluated on the same examples in the same ways.
        SettingsError: the primary metric was not measured, or has no better or worse.
    """
    strategies = check_alike(entrants)
    arms = tuple(entrant.arm for entrant in entrants)
    baseline = entrants[0].evaluations[0]
    measures = _measures(baseline)
    primary = _primary(measures, settings)
    tests = Significance(
        metrics=[rebuild_metric(baseline, measure.name) for measure in measures],
        bootstrap=Bootstrap(
            seed=seed, resamples=settings.resamples, confidence=settings.confidence
        ),
    )
    cells: list[Cell] = []
    for strategy in strategies:
        table = _Table(
            strategy=strategy,
            arms=arms,
            field={
                entrant.arm.name: [
                    tests.resample(each.evaluations[strategy]) for each in entrant.evaluations
                ]
                for entrant in entrants
            },
            tests=tests,
            significance=settings.significance,
        )
        cells += table.cells(measures)
    verdict = decide(
        [cell for cell in cells if (cell.strategy, cell.metric) == (strategies[0], primary.name)],
        arms,
        settings.confidence,
    )
    return Comparison(
        arms=arms,
        strategies=strategies,
        measures=measures,
        cells=tuple(cells),
        attributions=(),
        bar=None,
        peakiness=peakiness_by_arm(entrants),
        alarms=tuple(alarms),
        verdict=verdict,
        exhibits=choose_exhibits(entrants, verdict, settings.num_examples, seed),
        num_examples=len(baseline.examples),
        seed=seed,
        test="bootstrap",
        resamples=settings.resamples,
        confidence=settings.confidence,
        significance=settings.significance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """All arms under one strategy, by every measure."""

    strategy: str
    arms: Sequence[ComparedArm]
    field: Field
    tests: Significance
    significance: float

    def cells(self, measures: Sequence[Measure]) -> list[Cell]:
        """Make the cells, row by row: those of a measure are tested together."""
        (baseline,), *others = self.field.values()
        contrasts = [self.tests.contrast([(each, baseline) for each in arm]) for arm in others]
        signatures = {measure.name: measure.signature for measure in measures}
        cells = []
        for measure in measures:
            changes = correct(
                [found[measure.name] for found in contrasts],
                measure.higher_is_better,
                self.significance,
            )
            for arm, change in zip(self.arms, [None, *changes], strict=True):
                rewarded_by = arm.evaluator if arm.control is None else None
                cells.append(
                    self._cell(
                        arm.name,
                        measure.name,
                        change=change,
                        trained_on=signatures.get(rewarded_by or "") == measure.signature,
                    )
                )
        return cells

    def _cell(self, arm: str, metric: str, *, change: Change | None, trained_on: bool) -> Cell:
        group = self.field[arm]
        scores = [each.score(metric) for each in group]
        low, high = self.tests.bootstrap.interval(mean_draws(group, metric))
        return Cell(
            strategy=self.strategy,
            arm=arm,
            metric=metric,
            score=as_number(float(np.mean(scores))),
            scores=tuple(as_number(score) for score in scores),
            spread=as_number(float(np.std(scores, ddof=1))) if len(scores) > 1 else None,
            low=as_number(low),
            high=as_number(high),
            trained_on=trained_on,
            change=change,
        )


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
