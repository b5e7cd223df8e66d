"""Translation edit rate (Snover et al., 2006), as sacrebleu computes it, turned upside down."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, FloatArray, as_statistics
from goa.evaluators.recipe import Recipe
from goa.evaluators.sacrebleu_signature import sacrebleu_signature
from goa.records import Sample, Scores


class TerSettings(Recipe):
    """How words are compared before edits are counted."""

    kind: Literal["ter"] = "ter"
    normalized: bool = False
    """Split punctuation from words first."""
    no_punct: bool = False
    """Leave punctuation out."""
    asian_support: bool = False
    """With normalized: each Chinese or Japanese character is a word."""
    case_sensitive: bool = False
    """Whether a word in other case is another word."""
    max_words: int = Field(default=200, ge=1)
    """Texts are cut to this many words: the search for shifts takes seconds beyond."""

    def build(self, name: str) -> "Ter":
        """Build the evaluator."""
        return Ter(name, self)


class Ter(Evaluator):
    """1 - min(1, edits / reference words): 1 without an edit, 0 from TER 100 on.

    Equals 1 - TER/100 of sacrebleu for sentence and corpus, as far as TER stays below 100 and texts
    stay below ``max_words`` words. Two empty texts score 1.

    It calls the steps between which sacrebleu's ``sentence_score`` and ``corpus_score`` would
    prepare every reference afresh. They carry a leading underscore there, so the bound on
    sacrebleu's version and the tests of agreement guard them.
    """

    def __init__(self, name: str, settings: TerSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.ter import TER  # noqa: PLC0415

        self._metric = TER(
            normalized=settings.normalized,
            no_punct=settings.no_punct,
            asian_support=settings.asian_support,
            case_sensitive=settings.case_sensitive,
        )
        self.name = name
        self.signature = sacrebleu_signature("1-TER", self._metric, max_words=settings.max_words)
        self._max_words = settings.max_words
        self._prepare = lru_cache(maxsize=CACHED_TEXTS)(self._prepare_references)
        # An evaluation asks twice, for score and statistics, and ways of decoding write the same.
        self._edits = lru_cache(maxsize=CACHED_TEXTS)(self._count_edits)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        return Scores(values=tuple(self._value(self._count(sample)) for sample in samples))

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give sacrebleu's segment statistics, edits and mean words of the references: [N, 2]."""
        return as_statistics([self._count(sample) for sample in samples], 2)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Score summed statistics [..., 2] as sacrebleu's corpus score does, turned upside down."""
        values = [self._value(row) for row in sums.reshape(-1, 2).tolist()]
        return np.asarray(values, dtype=np.float64).reshape(sums.shape[:-1])

    def _value(self, statistics: list[float]) -> float:
        percent: float = self._metric._compute_score_from_stats(statistics).score
        return 1 - min(1.0, percent / 100)

    def _count(self, sample: Sample) -> list[float]:
        return list(self._edits(sample.candidate, sample.example.references))

    def _count_edits(self, candidate: str, references: tuple[str, ...]) -> tuple[float, ...]:
        prepared = self._prepare(references)
        found = self._metric._compute_segment_statistics(self._preprocess(candidate), prepared)
        return tuple(found)

    def _preprocess(self, text: str) -> str:
        return " ".join(self._metric._preprocess_segment(text).split()[: self._max_words])

    def _prepare_references(self, references: tuple[str, ...]) -> dict[str, Any]:
        return self._metric._extract_reference_info([self._preprocess(r) for r in references])
