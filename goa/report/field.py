"""All arms decoded one way, measured on test examples that are resampled alike for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goa.evaluation.significance import Resampled, Significance, mean_draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The policies of every arm by one strategy."""

    strategy: str
    policies: Mapping[str, Sequence[Resampled]]
    """By arm, the baseline first: one a seed, the baseline's one."""
    tests: Significance
    """The same for all strategies."""
    significance: float
    """Limit of corrected p-values."""

    @property
    def baseline(self) -> str:
        """The arm that the others are tested against."""
        return next(iter(self.policies))

    def score(self, arm: str, metric: str) -> float:
        """Average an arm's corpus scores over seeds; nan where one has none."""
        return float(np.mean([each.score(metric) for each in self.policies[arm]]))

    def interval(self, arm: str, metric: str) -> tuple[float, float]:
        """Give the bootstrap interval of that mean."""
        return self.tests.bootstrap.interval(mean_draws(self.policies[arm], metric))
