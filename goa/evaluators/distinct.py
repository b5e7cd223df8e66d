"""Distinct-n (Li et al., 2016): how few n-grams are repeated."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from goa.evaluators.contract import Evaluator, FloatArray, as_statistics, describe, ratio
from goa.evaluators.recipe import NOTHING, Influence, Recipe
from goa.evaluators.tokens import ngrams, tokenize
from goa.records import Sample, Scores


class DistinctSettings(Recipe):
    """Which n-grams."""

    kind: Literal["distinct"] = "distinct"
    n: int = Field(default=2, ge=1, le=9)
    """Words in an n-gram."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: the candidate alone."""
        return NOTHING

    def build(self, name: str) -> "Distinct":
        """Build the evaluator."""
        return Distinct(name, self)


class Distinct(Evaluator):
    """Distinct n-grams over all n-grams: within each candidate as value, over all as corpus score.

    A candidate too short for one n-gram has the value 0.

    Types do not add up over segments, so segment i's statistics share them out: (the sum over its
    n-grams of 1/occurrences of that n-gram in all samples, its number of n-grams). Their sums give
    the corpus score exactly when all samples are given at once. A bootstrap over them is
    conditional on these occurrences: a resample does not count its own types.
    """

    def __init__(self, name: str, settings: DistinctSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._n = settings.n

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate by itself; references are not looked at."""
        return Scores(
            values=tuple(distinct_ratio(tokenize(s.candidate), self._n) or 0.0 for s in samples)
        )

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give each candidate's share of all n-gram types, and its number of n-grams: [N, 2]."""
        lists = [ngrams(tokenize(sample.candidate), self._n) for sample in samples]
        occurrences = Counter(ngram for found in lists for ngram in found)
        return as_statistics(
            [(sum(1 / occurrences[ngram] for ngram in found), len(found)) for found in lists], 2
        )

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Divide types by n-grams; nan where there are no n-grams."""
        return ratio(sums)


def distinct_ratio(tokens: Sequence[str], n: int) -> float | None:
    """Divide distinct n-grams by all n-grams; None if there are no n-grams."""
    found = ngrams(tokens, n)
    return len(set(found)) / len(found) if found else None
