"""What every evaluator and every metric keeps to."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from goa.records import Sample, Scores

FloatArray = npt.NDArray[np.float64]


class Metric(ABC):
    """Measures a whole set of outputs from statistics that add up over segments.

    Statistics first, score second: one class gives the corpus score and, by summing the statistics
    of resampled segments, its bootstrap distribution.
    """

    name: str
    """What params.yaml calls it; unique within a run."""
    signature: str
    """The recipe: kind, settings and library versions, enough to compute the number again."""
    higher_is_better: bool = True
    """False only for descriptions that are neither good nor bad by themselves (length ratio)."""

    @abstractmethod
    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give each of N samples its D sufficient statistics, [N, D]."""

    @abstractmethod
    def corpus(self, sums: FloatArray) -> FloatArray:
        """Turn summed statistics [..., D] into scores [...]."""


class Evaluator(Metric):
    """Scores single samples in [0, 1]: usable as a reward, and as a metric.

    Unless a subclass knows better (BLEU does), the corpus score is the mean over the samples the
    evaluator applies to.
    """

    @abstractmethod
    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score N samples; see :class:`goa.records.Scores`. Order is kept.

        Raises:
            EvaluatorError: a sample cannot be scored.
        """

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give the value, and whether there is one, of each sample: [N, 2]."""
        return applicable(self.score(samples).values)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Average over the samples that have a value; nan where none has."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums[..., 0] / sums[..., 1])


def applicable(values: Sequence[float | None]) -> FloatArray:
    """Lay values out as statistics of a mean: [N, 2], the value (0 for None) and 1 or 0."""
    rows = [(0.0, 0.0) if value is None else (value, 1.0) for value in values]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 2)
