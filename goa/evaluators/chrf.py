"""chrF and chrF++ (Popović, 2015 and 2017), as sacrebleu computes them."""

import string
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from goa.evaluators.contract import Evaluator, FloatArray
from goa.evaluators.numbering import CharacterNumbering, Numbering, WordNumbering, batches, lay_out
from goa.evaluators.recipe import Recipe
from goa.evaluators.sacrebleu_signature import sacrebleu_signature
from goa.records import Sample, Scores


class ChrfSettings(Recipe):
    """What chrF counts."""

    kind: Literal["chrf"] = "chrf"
    char_order: int = Field(default=6, ge=1, le=20)
    """Longest n-gram, in characters."""
    word_order: int = Field(default=0, ge=0, le=9)
    """Longest n-gram, in words; 2 makes it chrF++."""
    beta: int = Field(default=2, ge=1, le=10)
    """How many times as much recall weighs as precision."""
    lowercase: bool = False
    """Compare lower-cased texts."""

    def build(self, name: str) -> "Chrf":
        """Build the evaluator."""
        return Chrf(name, self)


class Chrf(Evaluator):
    """chrF/100; works in every script. An empty candidate scores 0.

    Counted a batch at a time; agrees with sacrebleu's ``sentence_score`` and ``corpus_score`` to
    the last bits of rounding. Of several references, the one with the highest score counts.
    """

    def __init__(self, name: str, settings: ChrfSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

        metric = CHRF(
            char_order=settings.char_order,
            word_order=settings.word_order,
            beta=settings.beta,
            lowercase=settings.lowercase,
        )
        label = f"chrF{settings.beta}{'+' * settings.word_order}"
        self.name = name
        self.signature = sacrebleu_signature(label, metric)
        self._weight = settings.beta**2
        self._num_statistics = 3 * (settings.char_order + settings.word_order)

        def fold(text: str) -> str:
            return text.lower() if settings.lowercase else text

        self._countings: list[tuple[Numbering, int]] = [
            (CharacterNumbering(fold), settings.char_order),
            (
                WordNumbering(lambda text: fold(text).split(), split_punctuation),
                settings.word_order,
            ),
        ]

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        return Scores(values=tuple(self.corpus(self.statistics(samples)).tolist()))

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give sacrebleu's segment statistics, [N, 3 (char_order + word_order)].

        For each order: n-grams of the candidate (0 where the reference has none), of the reference,
        and in common.
        """
        found = np.zeros((len(samples), self._num_statistics))
        for rows, examples in batches(samples):
            counts = [
                counted
                for numbering, max_order in self._countings
                if max_order
                for overlap in lay_out(examples, numbering).overlaps(max_order)
                for counted in (
                    np.where(overlap.num_reference > 0, overlap.num_candidate[:, None], 0),
                    overlap.num_reference,
                    overlap.num_common,
                )
            ]
            statistics = np.stack(counts, axis=2)  # [rows, R, D]
            best = np.argmax(self.corpus(statistics), axis=1)
            found[rows] = statistics[np.arange(len(rows)), best]
        return found

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Score summed statistics [..., D] as sacrebleu's corpus score does, in [0, 1]."""
        written, wanted, common = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
        counted = (written > 0) & (wanted > 0)
        orders = np.maximum(counted.sum(axis=-1), 1)
        precision = (common / np.where(counted, written, np.inf)).sum(axis=-1) / orders
        recall = (common / np.where(counted, wanted, np.inf)).sum(axis=-1) / orders
        weighted = self._weight * precision + recall
        score = (1 + self._weight) * precision * recall / np.where(weighted > 0, weighted, 1.0)
        return np.asarray(np.minimum(1.0, score))


def split_punctuation(word: str) -> list[str]:
    """Cut one ASCII punctuation mark off a word's end, or else off its start, as chrF++ does."""
    if len(word) > 1 and word[-1] in string.punctuation:
        return [word[:-1], word[-1]]
    if len(word) > 1 and word[0] in string.punctuation:
        return [word[0], word[1:]]
    return [word]
