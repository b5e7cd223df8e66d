"""How near the length of a candidate is to the wanted one."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from pydantic import Field

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.tokens import closest, count_words
from goa.records import Sample, Scores


class LengthSettings(Recipe):
    """Which length is wanted."""

    kind: Literal["length"] = "length"
    against: Literal["references", "source"] = "references"
    """What the length is held against; of several references, the one closest in length."""
    ratio: float = Field(default=1.0, gt=0, le=100)
    """Words that are wanted for each word of that: for summaries of a third, 0.33 with source."""
    tolerance: float = Field(default=0.0, ge=0, le=10)
    """How far off a length may be at no cost, as a share: 0.1 allows a tenth more, or the length
    that is a tenth less than the wanted one's."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: what the length is held against."""
        return REFERENCES if self.against == "references" else NOTHING

    def build(self, name: str) -> "Length":
        """Build the evaluator."""
        return Length(name, self)


class Length(Evaluator):
    """``min(1, (1 + tolerance) min(c, r) / max(c, r))`` of c words where r are wanted.

    Where no words are wanted, a candidate without words has 1 and any other 0.
    """

    def __init__(self, name: str, settings: LengthSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._settings = settings
        self._count = lru_cache(maxsize=CACHED_TEXTS)(count_words)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate."""
        return Scores(values=tuple(self._value(sample) for sample in samples))

    def _value(self, sample: Sample) -> float:
        length, example = count_words(sample.candidate), sample.example
        against = example.references if self._settings.against == "references" else [example.source]
        wanted = closest(length, [self._settings.ratio * self._count(text) for text in against])
        if wanted == 0.0:
            return float(length == 0)
        share = min(length, wanted) / max(length, wanted)
        return min(1.0, (1 + self._settings.tolerance) * share)
