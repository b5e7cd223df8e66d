"""Evaluators whose segment statistics and scores are sacrebleu's own."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, FloatArray, as_statistics
from goa.records import Sample, Scores

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacrebleuMetric


class SegmentEvaluator(Evaluator):
    """Common ground of BLEU, chrF and TER.

    It calls the steps between which sacrebleu's ``sentence_score`` and ``corpus_score`` would
    prepare every reference afresh: preprocess, extract reference information, count one segment,
    score summed counts. They carry a leading underscore there, so the bound on sacrebleu's version
    and the tests of agreement guard them.
    """

    num_statistics: int
    """D, how many statistics a segment has."""

    def __init__(self, name: str, sentence: "SacrebleuMetric", corpus: "SacrebleuMetric") -> None:
        self.name = name
        self._sentence = sentence
        self._corpus = corpus
        self._prepare = lru_cache(maxsize=CACHED_TEXTS)(self._prepare_references)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        return Scores(
            values=tuple(self._value(self._sentence, self._count(sample)) for sample in samples)
        )

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give sacrebleu's segment statistics, [N, D]."""
        return as_statistics([self._count(sample) for sample in samples], self.num_statistics)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Score summed statistics [..., D] as sacrebleu's corpus score does, in [0, 1]."""
        rows = sums.reshape(-1, self.num_statistics).tolist()
        values = [self._value(self._corpus, row) for row in rows]
        return np.asarray(values, dtype=np.float64).reshape(sums.shape[:-1])

    def _value(self, metric: "SacrebleuMetric", statistics: list[float]) -> float:
        return self._to_unit(metric._compute_score_from_stats(statistics).score)

    def _to_unit(self, percent: float) -> float:
        """Turn sacrebleu's percentage into a value in [0, 1], higher is better."""
        # A perfect match comes out as 100.00000000000004.
        return min(1.0, percent / 100)

    def _count(self, sample: Sample) -> list[float]:
        candidate = self._preprocess(sample.candidate)
        prepared = self._prepare(sample.example.references)
        return list(self._sentence._compute_segment_statistics(candidate, prepared))

    def _preprocess(self, text: str) -> str:
        return self._sentence._preprocess_segment(text)

    def _prepare_references(self, references: tuple[str, ...]) -> dict[str, Any]:
        return self._sentence._extract_reference_info([self._preprocess(r) for r in references])


def sacrebleu_signature(label: str, metric: "SacrebleuMetric", **beyond: object) -> str:
    """Write sacrebleu's signature after its label, and what it leaves out after that.

    The number of references stands as ``var``: it belongs to the data, and an evaluator is made
    before it sees any.
    """
    metric.num_refs = -1
    pairs = [f"{key}:{value}" for key, value in beyond.items()]
    return "|".join([label, metric.get_signature().format(), *pairs])
