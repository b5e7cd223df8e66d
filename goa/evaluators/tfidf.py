"""Relevance by rare words: cosine of TF-IDF vectors (Spärck Jones, 1972)."""

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from goa.errors import EvaluatorError
from goa.evaluators.contract import CACHED_TEXTS, describe
from goa.evaluators.learning import LearningEvaluator
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.relevance import RelevantTo
from goa.evaluators.tokens import tokenize
from goa.records import Sample, Scores

if TYPE_CHECKING:
    from torch import Tensor

_BUCKETS = 1 << 18
"""Counts that words share, by hash."""


class TfidfSettings(Recipe):
    """What a candidate should be relevant to."""

    kind: Literal["tfidf"] = "tfidf"
    against: RelevantTo = "references"
    """The closest reference, the source, or the mean of the two."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: what a candidate should be relevant to."""
        return NOTHING if self.against == "source" else REFERENCES

    def build(self, name: str) -> "Tfidf":
        """Build the evaluator."""
        return Tfidf(name, self)


class Tfidf(LearningEvaluator):
    """``cos(v(candidate), v(wanted))`` with ``v_w(t) = n_w(t) (1 + log((1 + N) / (1 + d_w)))``.

    n_w(t) counts a word in a text; d_w is the number of the N examples of the pool that have it in
    their source or in a reference. A text without words has 0.
    """

    def __init__(self, name: str, settings: TfidfSettings) -> None:
        self.name = name
        self._settings = settings
        self._weights: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
        self._vector = lru_cache(maxsize=CACHED_TEXTS)(self._weigh)

    @property
    def signature(self) -> str:  # type: ignore[override]
        """The recipe, and a digest of what was counted."""
        counted = "untrained"
        if self._weights is not None:
            digest = hashlib.blake2b(self._weights.tobytes(), digest_size=8)
            counted = f"weights:{digest.hexdigest()}"
        return f"{describe(self._settings, 'goa')}|{counted}"

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample.

        Raises:
            EvaluatorError: no words have been counted yet.
        """
        return Scores(values=tuple(self._value(sample) for sample in samples))

    def _value(self, sample: Sample) -> float:
        candidate, example, against = self._weigh(sample.candidate), sample.example, []
        if self._settings.against != "source":
            against.append(max(_cosine(candidate, self._vector(r)) for r in example.references))
        if self._settings.against != "references":
            against.append(_cosine(candidate, self._vector(example.source)))
        return sum(against) / len(against)

    def learn(self, samples: Sequence[Sample], seed: int, *, anew: bool) -> Mapping[str, float]:
        """Count the examples that have each word; candidates are not looked at."""
        del seed, anew
        examples = list(dict.fromkeys(sample.example for sample in samples))
        counts: Counter[int] = Counter()
        for example in examples:
            texts = (example.source, *example.references)
            counts.update({_bucket(word) for text in texts for word in tokenize(text)})
        frequencies = np.zeros(_BUCKETS)
        frequencies[list(counts)] = list(counts.values())
        self._take(1 + np.log((1 + len(examples)) / (1 + frequencies)))
        return {"examples": len(examples), "words": len(counts)}

    def state(self) -> "dict[str, Tensor]":
        """Give the weight of each word, by its hash."""
        import torch  # noqa: PLC0415

        return {} if self._weights is None else {"weights": torch.from_numpy(self._weights.copy())}

    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Take weights back."""
        self._take(state["weights"].numpy().copy())

    def _take(self, weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        self._weights = weights
        self._vector.cache_clear()

    def _weigh(self, text: str) -> Mapping[str, float]:
        """Give the vector of a text, of length 1; empty for a text without words."""
        if self._weights is None:
            raise EvaluatorError(
                f"evaluator {self.name}: has counted no words yet; its score stage does that, and "
                "what it counted lies in out/evaluators"
            )
        counts = Counter(tokenize(text))
        vector = {word: n * float(self._weights[_bucket(word)]) for word, n in counts.items()}
        norm = math.hypot(*vector.values())
        return {word: value / norm for word, value in vector.items()}


def _cosine(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    product = math.fsum(value * second.get(word, 0.0) for word, value in first.items())
    return min(1.0, product)


@lru_cache(maxsize=1 << 16)
def _bucket(word: str) -> int:
    return zlib.crc32(word.encode()) % _BUCKETS
