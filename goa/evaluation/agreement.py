"""How far two evaluators agree on which candidates of a source are better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from goa.evaluators.contract import FloatArray

Values = Sequence[float | None]
"""Rewards of one source's candidates; None where the evaluator does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two evaluators' opinions of the same candidates, source by source.

    Sources are left out where either evaluator gives all candidates the same: there it has no
    opinion to agree with.
    """

    sources: int
    """Sources with signal from both."""
    rank_correlation: float | None
    """Spearman's, within a source, averaged over sources, in [-1, 1]; None without sources."""
    same_best: float | None
    """Share of the sources that have a candidate which is best, or tied for it, under both; None
    without sources."""


def agreement(sources: Iterable[tuple[Values, Values]]) -> Agreement:
    """Compare two evaluators' rewards, each source's [K] and [K] in the same order.

    Candidates that either evaluator does not apply to are left out.
    """
    correlations: list[float] = []
    num_same = 0
    for first, second in sources:
        rewards = _rewarded_by_both(first, second)
        if not rewards.size or (rewards == rewards[:, :1]).all(axis=1).any():
            continue
        correlations.append(rank_correlation(*rewards))
        best = rewards == rewards.max(axis=1, keepdims=True)
        num_same += bool(best.all(axis=0).any())
    count = len(correlations)
    return Agreement(
        sources=count,
        rank_correlation=float(np.mean(correlations)) if count else None,
        same_best=num_same / count if count else None,
    )


def rank_correlation(first: FloatArray, second: FloatArray) -> float:
    """Compute Spearman's correlation of [K] and [K], neither of them constant.

    It is Pearson's of the ranks; tied values share the mean of their ranks.
    """
    one, other = (ranks - ranks.mean() for ranks in (mid_ranks(first), mid_ranks(second)))
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def mid_ranks(values: FloatArray) -> FloatArray:
    """Rank [K] values from 1, upwards; tied ones get the mean of the ranks they take up."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places], dtype=np.float64)


def _rewarded_by_both(first: Values, second: Values) -> FloatArray:
    """Lay out, [2, K], the rewards of the candidates that have one from both."""
    pairs = [
        (one, other)
        for one, other in zip(first, second, strict=True)
        if one is not None and other is not None
    ]
    return np.asarray(pairs, dtype=np.float64).reshape(-1, 2).T
