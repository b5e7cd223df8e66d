"""What decoding alone reaches, against what training reaches, and in what time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from goa.evaluation.bootstrap import bonferroni
from goa.evaluation.measure import as_number
from goa.evaluation.significance import in_pairs
from goa.evaluation.storage import NOISED
from goa.report.change import Change, correct
from goa.report.comparison import ComparedArm
from goa.report.evidence import Bar, BarPoint, Outcome, Reach
from goa.report.field import Field
from goa.report.numbers import say_delta, say_interval, say_score, say_tests
from goa.report.quantities import say_short_time

Seconds = Mapping[tuple[str, str], float]
"""By (policy, strategy): time to decode a sentence; those that are known."""

OPENINGS: Mapping[Outcome, str] = {
    "reached": "Training was not worth it",
    "undecided": "Whether training was worth it cannot be told from chance",
    "behind": "Training was worth it",
}


def set_bar(
    fields: Sequence[Field], arms: Sequence[ComparedArm], metric: str, seconds: Seconds
) -> Bar | None:
    """Hold the best trained point against the best that the baseline reaches by decoding alone.

    Points are ways of decoding an arm, those of noised sources apart. The trained one has the
    highest score of all arms that an evaluator rewarded; its p-values are multiplied by how many it
    was picked from (Bonferroni). The baseline's is picked too, which is not corrected for: it
    speaks against training.

    Args:
        fields: one a strategy; those of the baseline alone among them.
        arms: the baseline first.
        metric: has a better and a worse.
        seconds: times that are known.
    """
    if len(arms) < 2:
        return None
    names = {field.strategy for field in fields}
    clean = [each for each in fields if not _is_noised(each.strategy, names)]
    return _Contest(fields=clean, arms=arms, metric=metric, seconds=seconds).bar()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contest:
    """Ways of decoding the arms, by one metric."""

    fields: Sequence[Field]
    arms: Sequence[ComparedArm]
    metric: str
    seconds: Seconds

    def bar(self) -> Bar:
        """Find both sides' best, test them, and say what comes of it."""
        points = [
            self._point(field, arm)
            for arm in self.arms
            for field in self.fields
            if arm.name in field.policies
        ]
        rewarded = {arm.name for arm in self.arms if arm.evaluator and arm.control is None}
        scored = [point for point in points if point.score is not None]
        trained = _best([point for point in scored if point.arm in rewarded])
        untrained = [point for point in scored if point.arm == self.arms[0].name]
        in_time = [point for point in untrained if trained and _is_as_fast(point, trained)]
        num_tried = sum(point.arm in rewarded for point in scored)
        any_time = self._reach(trained, _best(untrained), num_tried)
        same_time = self._reach(trained, _best(in_time), num_tried)
        return Bar(
            metric=self.metric,
            points=tuple(points),
            trained=trained,
            any_time=any_time,
            same_time=same_time,
            sentence=_sentence(self.metric, trained, any_time, same_time),
        )

    def _point(self, field: Field, arm: ComparedArm) -> BarPoint:
        low, high = field.interval(arm.name, self.metric)
        times = [self.seconds.get((policy, field.strategy)) for policy in arm.policies]
        known = [time for time in times if time is not None]
        return BarPoint(
            arm=arm.name,
            strategy=field.strategy,
            score=as_number(field.score(arm.name, self.metric)),
            low=as_number(low),
            high=as_number(high),
            seconds=float(np.mean(known)) if len(known) == len(times) else None,
        )

    def _reach(
        self, trained: BarPoint | None, untrained: BarPoint | None, num_tried: int
    ) -> Reach | None:
        if trained is None or untrained is None:
            return None
        by_strategy = {field.strategy: field for field in self.fields}
        ours, theirs = by_strategy[trained.strategy], by_strategy[untrained.strategy]
        pairs = in_pairs(ours.policies[trained.arm], theirs.policies[untrained.arm])
        contrast = ours.tests.contrast(pairs)[self.metric]
        adjust = partial(bonferroni, num_tests=num_tried)
        (change,) = correct([contrast], True, ours.significance, adjust)
        return Reach(untrained=untrained, change=change, outcome=_outcome(change))


def _is_noised(strategy: str, names: set[str]) -> bool:
    return strategy.endswith(NOISED) and strategy.removesuffix(NOISED) in names


def _best(points: Sequence[BarPoint]) -> BarPoint | None:
    return max(points, key=lambda point: point.score or 0.0, default=None)


def _is_as_fast(point: BarPoint, trained: BarPoint) -> bool:
    """Say whether a point takes no more time than the trained one, as the same way always counts.

    Models are of one size: decoded the same way, they differ by length of output and by noise.
    """
    if point.seconds is None or trained.seconds is None:
        return False
    return point.strategy == trained.strategy or point.seconds <= trained.seconds


def _outcome(change: Change) -> Outcome:
    if change.effect == "better":
        return "behind"
    return "undecided" if (change.delta or 0.0) > 0 else "reached"


def _sentence(
    metric: str, trained: BarPoint | None, any_time: Reach | None, same_time: Reach | None
) -> str:
    if trained is None or any_time is None:
        return f"Nothing can be said of training against decoding alone by {metric}."
    best = any_time.untrained
    sentence = (
        f"{OPENINGS[any_time.outcome]}: by decoding alone {best.arm} reaches {metric} "
        f"{_say_point(best)} at best, and the best arm, {trained.arm}, {_say_point(trained)}: "
        f"{_say_change(any_time.change)}."
    )
    if same_time is None or same_time.untrained == best:
        return sentence
    ends: Mapping[Outcome, str] = {
        "reached": "training saves no time either",
        "undecided": "which chance may explain",
        "behind": "so training saves time",
    }
    return (
        f"{sentence} In no more time a sentence {best.arm} reaches "
        f"{_say_point(same_time.untrained)}: {_say_change(same_time.change)}, "
        f"{ends[same_time.outcome]}."
    )


def _say_point(point: BarPoint) -> str:
    time = "" if point.seconds is None else f" in {say_short_time(point.seconds)} a sentence"
    return f"{say_score(point.score)} by {point.strategy}{time}"


def _say_change(change: Change) -> str:
    return f"{say_delta(change.delta)} {say_interval(change)}, {say_tests(change)}"
