"""How sure a difference between policies is: over the test examples, and over seeds.

A group of policies, one a seed, is held against another in pairs: seed against seed, or each seed
against the one policy there is. What is told is the mean over the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr

from goa.evaluation.bootstrap import Bootstrap, count_segments, paired_p_value
from goa.evaluation.measure import Evaluation
from goa.evaluation.randomisation import Randomisation, exchanged_p_value
from goa.evaluators.contract import FloatArray, Metric
from goa.randomness import generator

TestName = Literal["bootstrap", "randomisation"]
"""Paired tests over test examples: the paired bootstrap (Koehn, 2004), or approximate randomisation
(Riezler and Maxwell, 2005). Intervals are the bootstrap's with either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """One policy's outputs, measured, and measured again on resamples that all policies share."""

    evaluation: Evaluation
    draws: Mapping[str, FloatArray]
    """By metric: scores of the R resamples, [R]."""

    def score(self, metric: str) -> float:
        """Give the corpus score; nan where the metric applies to no output."""
        score = self.evaluation.measurements[metric].score
        return np.nan if score is None else score


Pairs = Sequence[tuple[Resampled, Resampled]]


def in_pairs(group: Sequence[Resampled], others: Sequence[Resampled]) -> Pairs:
    """Pair policies with others seed by seed, or each of them with the one that there is."""
    if len(others) == 1:
        return [(each, others[0]) for each in group]
    return list(zip(group, others, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """How far policies are from others by one metric, mean over the pairs; nan where unknown."""

    delta: float
    low: float
    """Lower end of the bootstrap interval of the delta."""
    high: float
    p_value: float
    """Of the paired test over test examples."""
    seeds_p_value: float
    """Of the test over seeds; nan with fewer than two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Significance:
    """Tests of some metrics; equal seeds give equal resamples, in every stage and process."""

    metrics: Sequence[Metric]
    bootstrap: Bootstrap
    """Draws of test examples, behind intervals and, by that name, the test."""
    test: TestName = "bootstrap"
    """Over test examples; by randomisation there are as many trials as the bootstrap has draws."""

    def resample(self, evaluation: Evaluation) -> Resampled:
        """Measure the resamples of one policy's outputs."""
        scores = self.bootstrap.scores(self.metrics, self._statistics(evaluation))
        names = [metric.name for metric in self.metrics]
        return Resampled(evaluation=evaluation, draws=dict(zip(names, scores, strict=True)))

    def contrast(self, pairs: Pairs) -> dict[str, Contrast]:
        """Hold policies against others, in pairs, by every metric."""
        names = [metric.name for metric in self.metrics]
        deltas = {
            name: [first.score(name) - second.score(name) for first, second in pairs]
            for name in names
        }
        p_values = self._p_values(pairs, {name: float(np.mean(deltas[name])) for name in names})
        return {name: self._contrast(name, pairs, deltas[name], p_values[name]) for name in names}

    def _contrast(
        self, metric: str, pairs: Pairs, deltas: Sequence[float], p_value: float
    ) -> Contrast:
        delta = float(np.mean(deltas))
        low, high = np.nan, np.nan
        if np.isfinite(delta):
            low, high = self.bootstrap.interval(self._drawn_deltas(metric, pairs))
        return Contrast(
            delta=delta,
            low=low,
            high=high,
            p_value=p_value,
            seeds_p_value=seeds_p_value(deltas),
        )

    def _p_values(self, pairs: Pairs, deltas: Mapping[str, float]) -> dict[str, float]:
        """Test the mean delta over the pairs, over test examples, by every metric."""
        if self.test == "randomisation":
            randomisation = Randomisation(seed=self.bootstrap.seed, trials=self.bootstrap.resamples)
            found = randomisation.differences(
                self.metrics,
                [
                    (self._statistics(first.evaluation), self._statistics(second.evaluation))
                    for first, second in pairs
                ],
            )
            exchanged = zip(deltas, found, strict=True)
            return {name: exchanged_p_value(each, deltas[name]) for name, each in exchanged}
        firsts, seconds = zip(*pairs, strict=True)
        return {
            name: paired_p_value(mean_draws(firsts, name), mean_draws(seconds, name), delta)
            for name, delta in deltas.items()
        }

    def _statistics(self, evaluation: Evaluation) -> list[FloatArray]:
        return [evaluation.statistics[metric.name] for metric in self.metrics]

    def _drawn_deltas(self, metric: str, pairs: Pairs) -> FloatArray:
        """Give the mean delta of each resample, [R], of the pairs as drawn for it.

        A resample draws test examples and, of several pairs, as many with replacement.
        """
        deltas = np.stack([first.draws[metric] - second.draws[metric] for first, second in pairs])
        if len(pairs) == 1:
            return np.asarray(deltas[0])
        rng = generator(self.bootstrap.seed, "bootstrap", "seeds")
        drawn = rng.integers(len(pairs), size=(deltas.shape[1], len(pairs)))
        weights = count_segments(drawn) / len(pairs)
        return np.asarray(np.where(weights.T > 0, weights.T * deltas, 0.0).sum(axis=0))


def mean_draws(group: Sequence[Resampled], metric: str) -> FloatArray:
    """Average what several policies score on each resample, [R]."""
    return np.asarray(np.mean([each.draws[metric] for each in group], axis=0))


def seeds_p_value(deltas: Sequence[float]) -> float:
    """Test whether the mean delta over seeds differs from 0: Student's t, two-sided.

    nan with fewer than two seeds, or where a delta is nan. Seeds that agree to the last bit have no
    spread to be measured by: 1.0 where the deltas are all 0, else 0.0.
    """
    num_seeds = len(deltas)
    if num_seeds < 2 or not np.isfinite(deltas).all():
        return float("nan")
    mean, spread = float(np.mean(deltas)), float(np.std(deltas, ddof=1))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    t = abs(mean) / (spread / num_seeds**0.5)
    return float(2 * stdtr(num_seeds - 1, -t))
