"""Testing every arm against the baseline, on resamples that all of them share."""

from collections.abc import Iterator, Sequence
from types import MappingProxyType

import numpy as np

from goa.errors import SettingsError
from goa.evaluation.alarms import GuardAlarm
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import as_number
from goa.evaluation.significance import Significance, in_pairs
from goa.evaluation.storage import PolicyEvaluation, rebuild_metric
from goa.report.attributing import attribute
from goa.report.bar import Seconds, set_bar
from goa.report.change import Change, correct
from goa.report.comparison import Cell, ComparedArm, Comparison, Measure, families
from goa.report.entrants import Entrant, check_alike
from goa.report.exhibits import choose_exhibits
from goa.report.field import Field
from goa.report.peakiness import peakiness_by_arm
from goa.report.settings import CompareSettings
from goa.report.verdict import decide


def compare(
    entrants: Sequence[Entrant],
    settings: CompareSettings,
    seed: int,
    seconds: Seconds = MappingProxyType({}),
    alarms: Sequence[GuardAlarm] = (),
) -> Comparison:
    """Compare arms; the first one is the baseline of every test.

    Args:
        entrants: arms with their evaluations.
        settings: how they are tested, and what is shown.
        seed: of the resamples, and of the examples drawn by lot.
        seconds: what decoding a sentence takes, by policy and strategy, as far as it is known.
        alarms: what training said of its guards.

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
        test=settings.test,
    )

    def field_of(strategy: str, those: Sequence[Entrant]) -> Field:
        return Field(
            strategy=strategy,
            policies={
                each.arm.name: [tests.resample(x.evaluations[strategy]) for x in each.evaluations]
                for each in those
            },
            tests=tests,
            significance=settings.significance,
        )

    fields = [field_of(strategy, entrants) for strategy in strategies]
    own = [field_of(x, entrants[:1]) for x in baseline.evaluations if x not in strategies]
    cells = tuple(cell for field in fields for cell in _cells(field, arms, measures))
    attributions = tuple(each for field in fields for each in attribute(field, arms, measures))
    bar = set_bar([*fields, *own], arms, primary.name, seconds)
    verdict = decide(
        [cell for cell in cells if (cell.strategy, cell.metric) == (strategies[0], primary.name)],
        arms,
        settings.confidence,
        attributions,
        bar,
    )
    return Comparison(
        arms=arms,
        strategies=strategies,
        measures=measures,
        cells=cells,
        attributions=attributions,
        bar=bar,
        peakiness=peakiness_by_arm(entrants),
        alarms=tuple(alarms),
        verdict=verdict,
        exhibits=choose_exhibits(entrants, verdict, settings.num_examples, seed),
        num_examples=len(baseline.examples),
        seed=seed,
        test=settings.test,
        resamples=settings.resamples,
        confidence=settings.confidence,
        significance=settings.significance,
    )


def _cells(
    field: Field, arms: Sequence[ComparedArm], measures: Sequence[Measure]
) -> Iterator[Cell]:
    """Make the cells, row by row: those of a measure and a family of arms are tested together."""
    baseline = field.policies[field.baseline]
    contrasts = {
        arm.name: field.tests.contrast(in_pairs(field.policies[arm.name], baseline))
        for arm in arms[1:]
    }
    signatures = {measure.name: measure.signature for measure in measures}
    for measure in measures:
        changes: dict[str, Change] = {}
        for family in families(arms):
            tested = [contrasts[name][measure.name] for name in family]
            corrected = correct(tested, measure.higher_is_better, field.significance)
            changes |= zip(family, corrected, strict=True)
        for arm in arms:
            rewarded_by = arm.evaluator if arm.control is None else None
            yield _cell(
                field,
                arm.name,
                measure.name,
                change=changes.get(arm.name),
                trained_on=signatures.get(rewarded_by or "") == measure.signature,
            )


def _cell(field: Field, arm: str, metric: str, *, change: Change | None, trained_on: bool) -> Cell:
    scores = [each.score(metric) for each in field.policies[arm]]
    low, high = field.interval(arm, metric)
    return Cell(
        strategy=field.strategy,
        arm=arm,
        metric=metric,
        score=as_number(field.score(arm, metric)),
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
