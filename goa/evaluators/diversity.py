"""Diversity: how few n-grams of a candidate are said twice."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.distinct import distinct_ratio
from goa.evaluators.tokens import tokenize
from goa.records import Sample, Scores
from goa.settings import Settings


class DiversitySettings(Settings):
    """Which n-grams."""

    kind: Literal["diversity"] = "diversity"
    max_order: int = Field(default=2, ge=1, le=9)
    """Words of the longest n-gram that is looked at."""

    def build(self, name: str) -> "Diversity":
        """Build the evaluator."""
        return Diversity(name, self)


class Diversity(Evaluator):
    """Distinct n-grams over n-grams within the candidate, averaged over n = 1 .. max_order.

    Orders of which the candidate has no n-gram are left out; a candidate without words has 0.
    """

    def __init__(self, name: str, settings: DiversitySettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._max_order = settings.max_order

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate by itself; references are not looked at."""
        return Scores(values=tuple(self._value(tokenize(s.candidate)) for s in samples))

    def _value(self, words: Sequence[str]) -> float:
        ratios = [distinct_ratio(words, n) for n in range(1, self._max_order + 1)]
        found = [ratio for ratio in ratios if ratio is not None]
        return sum(found) / len(found) if found else 0.0
