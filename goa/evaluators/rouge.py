"""ROUGE (Lin, 2004), equal to rouge-score's."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.evaluators.tokens import ngrams
from goa.records import Sample, Scores
from goa.settings import Settings

SUMMARY_WORDS = 1000
"""rougeLsum reads no further in a text: its time and memory grow with the square."""

_CACHED_STEMS = 65536


class RougeSettings(Settings):
    """Which ROUGE."""

    kind: Literal["rouge"] = "rouge"
    variant: Literal[
        "rouge1", "rouge2", "rouge3", "rouge4", "rouge5", "rouge6", "rouge7", "rouge8", "rouge9",
        "rougeL", "rougeLsum",
    ] = "rougeL"  # fmt: skip
    """n-gram overlap, longest common subsequence, or that over the lines of a summary."""
    measure: Literal["fmeasure", "precision", "recall"] = "fmeasure"
    stemming: bool = False
    """Compare the Porter stems of words longer than three letters."""
    references: Literal["max", "mean"] = "max"
    """Of several references: the one with the highest F-measure, or the mean over all."""

    def build(self, name: str) -> "Rouge":
        """Build the evaluator."""
        return Rouge(name, self)


class Rouge(Evaluator):
    """One ROUGE variant and measure.

    Tokens are rouge-score's, which sees only the letters a-z and digits: an empty candidate, or one
    in another script, scores 0 (chrF reads every script). Of several references ``max`` takes the
    one that ``RougeScorer.score_multi`` takes. rougeLsum reads :data:`SUMMARY_WORDS` words.
    """

    def __init__(self, name: str, settings: RougeSettings) -> None:
        self.name = name
        self.signature = describe(settings, "rouge-score")
        self._settings = settings
        self._variant = _make_variant(settings)
        self._prepare_reference = lru_cache(maxsize=CACHED_TEXTS)(self._variant.prepare)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        return Scores(values=tuple(self._score_one(sample) for sample in samples))

    def _score_one(self, sample: Sample) -> float:
        candidate = self._variant.prepare(sample.candidate)
        overlaps = [
            self._variant.compare(self._prepare_reference(reference), candidate)
            for reference in sample.example.references
        ]
        if self._settings.references == "max":
            overlaps = [max(overlaps, key=lambda overlap: overlap.fmeasure)]
        total = sum(getattr(overlap, self._settings.measure) for overlap in overlaps)
        return float(total / len(overlaps))


class _Overlap(NamedTuple):
    precision: float
    recall: float
    fmeasure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    prepare: Callable[[str], Any]
    """Turns a text into what is compared; worth remembering for references."""
    compare: Callable[[Any, Any], _Overlap]
    """Takes a prepared reference and a prepared candidate."""


def _make_variant(settings: RougeSettings) -> _Variant:
    split = _make_tokenizer(stemming=settings.stemming)
    if settings.variant == "rougeL":
        return _Variant(prepare=split, compare=_compare_sequences)
    if settings.variant == "rougeLsum":
        return _Variant(
            prepare=lambda text: _cut_lines([split(line) for line in text.split("\n")]),
            compare=_compare_summaries,
        )
    n = int(settings.variant.removeprefix("rouge"))
    return _Variant(prepare=lambda text: Counter(ngrams(split(text), n)), compare=_compare_counts)


def _make_tokenizer(*, stemming: bool) -> Callable[[str], list[str]]:
    # Here, not above: the stemmer's package takes seconds to import.
    from rouge_score.tokenize import tokenize  # noqa: PLC0415

    stemmer = _CachedStemmer() if stemming else None
    return lambda text: tokenize(text, stemmer)


class _CachedStemmer:
    """Porter's stemmer, remembering the words it met: stemming is most of the time of ROUGE."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # noqa: PLC0415

        self.stem = lru_cache(maxsize=_CACHED_STEMS)(PorterStemmer().stem)


def _compare_counts(
    reference: Counter[tuple[str, ...]], candidate: Counter[tuple[str, ...]]
) -> _Overlap:
    num_common = sum(min(count, candidate[ngram]) for ngram, count in reference.items())
    return _overlap(num_common, reference.total(), candidate.total())


def _compare_sequences(reference: list[str], candidate: list[str]) -> _Overlap:
    num_common = longest_common_subsequence(reference, candidate)
    return _overlap(num_common, len(reference), len(candidate))


def _compare_summaries(reference: list[list[str]], candidate: list[list[str]]) -> _Overlap:
    from rouge_score.rouge_scorer import _summary_level_lcs  # noqa: PLC0415

    return _Overlap(*_summary_level_lcs(reference, candidate))


def _cut_lines(lines: list[list[str]]) -> list[list[str]]:
    kept, room = [], SUMMARY_WORDS
    for line in lines:
        if line and room:
            kept.append(line[:room])
            room -= len(kept[-1])
    return kept


def _overlap(num_common: int, num_reference: int, num_candidate: int) -> _Overlap:
    precision = num_common / max(num_candidate, 1)
    recall = num_common / max(num_reference, 1)
    total = precision + recall
    return _Overlap(precision, recall, 2 * precision * recall / total if total > 0 else 0.0)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Count the tokens of the longest common subsequence.

    Bit-parallel (Hyyrö, 2004): bit i of ``unmatched`` falls to 0 where the table's column for
    first[:i + 1] steps up by one. A whole column costs a few operations on one long integer, which
    keeps texts of 100,000 characters within a second.
    """
    positions: dict[str, int] = {}
    for index, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    unmatched = full
    for token in second:
        matched = unmatched & positions.get(token, 0)
        unmatched = ((unmatched + matched) | (unmatched - matched)) & full
    return len(first) - unmatched.bit_count()
