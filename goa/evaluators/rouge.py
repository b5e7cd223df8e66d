"""ROUGE (Lin, 2004), equal to rouge-score's."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, Self, TypeVar

import numpy as np
from pydantic import model_validator

from goa.evaluators.contract import Evaluator, FloatArray, describe
from goa.evaluators.numbering import Group, WordNumbering, batches, lay_out
from goa.evaluators.overlap import IntArray
from goa.evaluators.recipe import Recipe
from goa.evaluators.tokens import tokenize
from goa.records import Sample, Scores

SUMMARY_WORDS = 1000
"""rougeLsum reads no further in a text: its time and memory grow with the square."""

_SHORT_WORD = 3
"""Letters of the longest word that rouge-score does not stem."""

_Prepared = TypeVar("_Prepared")


class RougeSettings(Recipe):
    """Which ROUGE."""

    kind: Literal["rouge"] = "rouge"
    variant: Literal[
        "rouge1", "rouge2", "rouge3", "rouge4", "rouge5", "rouge6", "rouge7", "rouge8", "rouge9",
        "rougeL", "rougeLsum",
    ] = "rougeL"  # fmt: skip
    """n-gram overlap, longest common subsequence, or that over the lines of a summary."""
    measure: Literal["fmeasure", "precision", "recall"] = "fmeasure"
    """What counts of the overlap: both sides, the candidate's share, or the reference's."""
    stemming: bool = False
    """Compare the Porter stems of words longer than three letters."""
    tokenizer: Literal["rouge", "words"] = "rouge"
    """rouge: rouge-score's, runs of a-z and 0-9, so that nothing else counts; words: goa's, for
    every script, each Chinese or Japanese character a word of its own."""
    references: Literal["max", "mean"] = "max"
    """Of several references: the one with the highest F-measure, or the mean over all."""

    @model_validator(mode="after")
    def _stems_what_is_english(self) -> Self:
        if self.stemming and self.tokenizer != "rouge":
            raise ValueError("the Porter stemmer is for English: leave stemming out with words")
        return self

    def build(self, name: str) -> "Rouge":
        """Build the evaluator."""
        return Rouge(name, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What N candidates have in common with each of their references, however it is counted."""

    candidate: IntArray
    """[N, 1], units of the candidate."""
    reference: IntArray
    """[N, R], units of each reference; -1 where there are fewer than R references."""
    common: FloatArray
    """[N, R]."""


class Rouge(Evaluator):
    """One ROUGE variant and measure.

    By rouge-score's tokenizer only the letters a-z and digits count: an empty candidate, or one in
    another script, scores 0; ``tokenizer: words`` reads every script. Of several references
    ``max`` takes the one that ``RougeScorer.score_multi`` takes. rougeLsum reads
    :data:`SUMMARY_WORDS` words. Counted a batch at a time.
    """

    def __init__(self, name: str, settings: RougeSettings) -> None:
        self.name = name
        self.signature = describe(settings, "rouge-score", "nltk")
        self._settings = settings
        self._numbering = _make_numbering(settings)
        self._compare = _make_comparison(settings.variant, self._numbering)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        found = np.zeros(len(samples))
        for rows, groups in batches(samples):
            self._numbering.make_room()
            found[rows] = self._of_references(self._compare(groups))
        return Scores(values=tuple(found.tolist()))

    def _of_references(self, counts: Counts) -> FloatArray:
        """Turn counts against each reference [N, R] into one value a candidate, [N]."""
        there = counts.reference >= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = np.where(counts.reference > 0, counts.common / counts.reference, 0.0)
            precision = np.where(counts.candidate > 0, counts.common / counts.candidate, 0.0)
            product, total = precision * recall, precision + recall
            fmeasure = np.where(total > 0, 2 * product / total, 0.0)
        measures = {"precision": precision, "recall": recall, "fmeasure": fmeasure}
        values = measures[self._settings.measure]
        if self._settings.references == "mean":
            return np.asarray(np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1))
        best = np.argmax(fmeasure, axis=1)  # the first of several; what is not there comes last
        return np.asarray(values[np.arange(len(values)), best])


def _make_numbering(settings: RougeSettings) -> WordNumbering:
    """Give words numbers, as rouge-score cuts and stems them, or as goa does."""
    if settings.tokenizer == "words":
        return WordNumbering(tokenize, lambda word: [word])
    words = re.compile("[a-z0-9]+")
    if not settings.stemming:
        return WordNumbering(lambda text: words.findall(text.lower()), lambda word: [word])
    return WordNumbering(lambda text: words.findall(text.lower()), lambda word: [_stem(word)])


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    """Stem a word as rouge-score does; evaluators of several variants share what was stemmed."""
    return str(_stemmer().stem(word)) if len(word) > _SHORT_WORD else word


@cache
def _stemmer() -> Any:
    # Here, not above: the stemmer's package takes seconds to import.
    from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # noqa: PLC0415

    return PorterStemmer()


def _make_comparison(variant: str, numbering: WordNumbering) -> Callable[[Sequence[Group]], Counts]:
    if variant == "rougeL":
        return lambda groups: _pair_by_pair(groups, numbering.each, _compare_sequences)
    if variant == "rougeLsum":
        return lambda groups: _pair_by_pair(
            groups,
            lambda texts: [cut_lines(numbering.each(text.split("\n"))) for text in texts],
            _compare_summaries,
        )
    order = int(variant.removeprefix("rouge"))
    return lambda groups: _compare_ngrams(groups, numbering, order)


def _compare_ngrams(groups: Sequence[Group], numbering: WordNumbering, order: int) -> Counts:
    batch = lay_out(groups, numbering)
    *_, overlap = batch.overlaps(order)
    return Counts(
        candidate=overlap.num_candidate[:, None],
        reference=np.where(batch.reference_lengths < 0, -1, overlap.num_reference),
        common=overlap.num_common,
    )


def _pair_by_pair(
    groups: Sequence[Group],
    prepare: Callable[[Sequence[str]], Sequence[_Prepared]],
    compare: Callable[[_Prepared, _Prepared], tuple[int, int, int]],
) -> Counts:
    """Compare each candidate with each reference.

    Args:
        groups: examples with their candidates.
        prepare: makes of texts what is compared.
        compare: takes what was made of a reference and of a candidate; gives the units of the
            reference, of the candidate, and those in common.
    """
    width = max(len(example.references) for example, _ in groups)
    rows = []
    for example, texts in groups:
        references = prepare(example.references)
        for candidate in prepare(texts):
            found = [compare(reference, candidate) for reference in references]
            rows.append(found + [(-1, 0, 0)] * (width - len(found)))
    table = np.array(rows, dtype=np.int64)
    return Counts(
        candidate=table[:, :1, 1],
        reference=table[:, :, 0],
        common=table[:, :, 2].astype(np.float64),
    )


def _compare_sequences(reference: Sequence[int], candidate: Sequence[int]) -> tuple[int, int, int]:
    num_common = longest_common_subsequence(reference, candidate)
    return len(reference), len(candidate), num_common


def _compare_summaries(
    reference: list[list[int]], candidate: list[list[int]]
) -> tuple[int, int, int]:
    """Count the words that a union of longest common subsequences hits, line by line.

    rouge-score's own function gives ratios; this undoes its divisions.
    """
    from rouge_score.rouge_scorer import _summary_level_lcs  # noqa: PLC0415

    num_reference, num_candidate = (sum(map(len, text)) for text in (reference, candidate))
    score = _summary_level_lcs(reference, candidate)
    return num_reference, num_candidate, round(score.recall * num_reference)


def cut_lines(lines: Sequence[list[int]]) -> list[list[int]]:
    """Keep the first :data:`SUMMARY_WORDS` words, in their lines; lines without words go."""
    kept, room = [], SUMMARY_WORDS
    for line in lines:
        if line and room:
            kept.append(line[:room])
            room -= len(kept[-1])
    return kept


def longest_common_subsequence(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the tokens of the longest common subsequence.

    Bit-parallel (Hyyrö, 2004): bit i of ``unmatched`` falls to 0 where the table's column for
    first[:i + 1] steps up by one. A whole column costs a few operations on one long integer, which
    keeps texts of 100,000 characters within a second.
    """
    positions: dict[int, int] = {}
    for index, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    unmatched = full
    for token in second:
        matched = unmatched & positions.get(token, 0)
        unmatched = ((unmatched + matched) | (unmatched - matched)) & full
    return len(first) - unmatched.bit_count()
