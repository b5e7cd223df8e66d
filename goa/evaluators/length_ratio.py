"""Length of the outputs beside their references: a description, not a reward."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from goa.evaluators.contract import CACHED_TEXTS, FloatArray, Metric, as_statistics, describe, ratio
from goa.evaluators.tokens import closest, count_words
from goa.records import Sample
from goa.settings import Settings


class LengthRatioSettings(Settings):
    """Nothing to set."""

    kind: Literal["length_ratio"] = "length_ratio"

    def build(self, name: str) -> "LengthRatio":
        """Build the metric."""
        return LengthRatio(name, self)


class LengthRatio(Metric):
    """Candidate words over the words of the reference closest in length (of two, the shorter).

    1 is as long as the references; not bound to [0, 1].
    """

    higher_is_better = False

    def __init__(self, name: str, settings: LengthRatioSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._count_reference = lru_cache(maxsize=CACHED_TEXTS)(count_words)

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give the words of each candidate and of its closest reference, [N, 2]."""
        return as_statistics([self._lengths(sample) for sample in samples], 2)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Divide candidate words by reference words; nan where references have no words."""
        return ratio(sums)

    def _lengths(self, sample: Sample) -> tuple[float, float]:
        length = count_words(sample.candidate)
        lengths = [self._count_reference(text) for text in sample.example.references]
        return length, closest(length, lengths)
