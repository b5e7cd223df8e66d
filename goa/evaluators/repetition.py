"""Freedom from loops: words and phrases that follow themselves."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.recipe import NOTHING, Influence, Recipe
from goa.evaluators.tokens import tokenize
from goa.records import Sample, Scores


class RepetitionSettings(Recipe):
    """What counts as a loop."""

    kind: Literal["repetition"] = "repetition"
    max_order: int = Field(default=4, ge=1, le=32)
    """Words of the longest phrase whose repetition is looked for."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: the candidate alone."""
        return NOTHING

    def build(self, name: str) -> "Repetition":
        """Build the evaluator."""
        return Repetition(name, self)


class Repetition(Evaluator):
    """The share of a candidate's words that are no loop; 0 for a candidate without words.

    A word is part of a loop where it stands in a phrase of at most ``max_order`` words that repeats
    the phrase right before it: the degeneration that Holtzman et al. (2020) describe. What comes
    back later, with something between, is :class:`goa.evaluators.distinct.Distinct`'s to count.
    """

    def __init__(self, name: str, settings: RepetitionSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._max_order = settings.max_order

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate by itself; references are not looked at."""
        return Scores(values=tuple(self._value(sample.candidate) for sample in samples))

    def _value(self, candidate: str) -> float:
        words = tokenize(candidate)
        if not words:
            return 0.0
        return 1.0 - num_looping(words, self._max_order) / len(words)


def num_looping(words: Sequence[str], max_order: int) -> int:
    """Count the words that stand in a repetition of the phrase right before them."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    looping = np.zeros(len(ids), dtype=bool)
    for order in range(1, min(max_order, len(ids) // 2) + 1):
        same = np.concatenate([np.zeros(order, dtype=bool), ids[order:] == ids[:-order]])
        # A phrase repeats the one before where all its words do.
        whole = np.asarray(np.lib.stride_tricks.sliding_window_view(same, order).all(axis=1))
        for start in range(order):
            looping[start : start + len(whole)] |= whole
    return int(looping.sum())
