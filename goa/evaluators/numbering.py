"""Texts as numbers: what n-grams are counted of, a batch of texts at a time."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from goa.evaluators.overlap import Batch, IntArray
from goa.records import Example, Sample

CHARACTERS_PER_BATCH = 1 << 18
"""Counting takes about 100 bytes a character, or a token."""
_REMEMBERED_WORDS = 1 << 18


class Numbering(ABC):
    """Turns texts into tokens, and tokens into numbers; equal tokens have equal numbers."""

    @abstractmethod
    def __call__(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Give the tokens of all texts, one after the other, and each text's number of them."""


class WordNumbering(Numbering):
    """Numbers the tokens of words, each word by itself, and remembers the words it met."""

    def __init__(
        self, words: Callable[[str], Sequence[str]], tokens: Callable[[str], Sequence[str]]
    ) -> None:
        """Set the numbering up.

        Args:
            words: cuts a text into what can be looked at by itself.
            tokens: gives the tokens of a word; asked once for each word.
        """
        self._words = words
        self._tokens = _Remembered(tokens)

    def __call__(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Give the numbers of all tokens, and of each text how many."""
        self.make_room()
        numbers = self.each(texts)
        lengths = np.fromiter(map(len, numbers), dtype=np.int64, count=len(texts))
        flat = itertools.chain.from_iterable(numbers)
        return np.fromiter(flat, dtype=np.int64, count=int(lengths.sum())), lengths

    def each(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the tokens of each text, as numbers."""
        return [
            [number for word in self._words(text) for number in self._tokens[word]]
            for text in texts
        ]

    def make_room(self) -> None:
        """Forget all words once there are too many; their numbers no longer hold then."""
        if len(self._tokens) > _REMEMBERED_WORDS:
            self._tokens = _Remembered(self._tokens.split)


class _Remembered(dict[str, Sequence[int]]):
    """The numbers of words that were met."""

    def __init__(self, tokens: Callable[[str], Sequence[str]]) -> None:
        self.split = tokens
        self._numbers: dict[str, int] = {}

    def __missing__(self, word: str) -> Sequence[int]:
        numbers = self._numbers
        found = tuple(numbers.setdefault(token, len(numbers)) for token in self.split(word))
        self[word] = found
        return found


class CharacterNumbering(Numbering):
    """Numbers the characters of texts, whitespace left out, by their code points."""

    def __init__(self, prepare: Callable[[str], str]) -> None:
        self._prepare = prepare

    def __call__(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Give the numbers of all characters, and of each text how many."""
        lines = ["".join(self._prepare(text).split()) for text in texts]
        lengths = np.fromiter(map(len, lines), dtype=np.int64, count=len(texts))
        codes = "".join(lines).encode("utf-32-le", "surrogatepass")
        return np.frombuffer(codes, dtype="<u4").astype(np.int64), lengths


Group = tuple[Example, Sequence[str]]
"""An example and its candidates."""


def batches(samples: Sequence[Sample]) -> Iterator[tuple[list[int], list[Group]]]:
    """Sort samples by example, and cut them into batches of a size that is counted well.

    Yields a batch's candidates, example by example, and before them their rows among the samples.
    """
    for groups in _cut(samples, _by_example(samples)):
        written: list[Group] = [
            (example, [samples[row].candidate for row in rows]) for example, rows in groups
        ]
        yield [row for _, rows in groups for row in rows], written


def lay_out(groups: Sequence[Group], numbering: Numbering) -> Batch:
    """Turn the texts of a batch into numbers."""
    texts = [text for example, written in groups for text in (*example.references, *written)]
    sizes = [(len(example.references), len(written)) for example, written in groups]
    return Batch(*numbering(texts), sizes)


def _by_example(samples: Sequence[Sample]) -> Iterator[tuple[Example, list[int]]]:
    """Gather the rows of each example."""
    rows: dict[int, list[int]] = {}
    for row, sample in enumerate(samples):
        rows.setdefault(id(sample.example), []).append(row)
    return ((samples[found[0]].example, found) for found in rows.values())


def _cut(
    samples: Sequence[Sample], groups: Iterator[tuple[Example, list[int]]]
) -> Iterator[list[tuple[Example, list[int]]]]:
    """Put groups together as long as there is room."""
    gathered: list[tuple[Example, list[int]]] = []
    room = CHARACTERS_PER_BATCH
    for example, rows in groups:
        size = sum(map(len, example.references)) + sum(len(samples[row].candidate) for row in rows)
        if gathered and size > room:
            yield gathered
            gathered, room = [], CHARACTERS_PER_BATCH
        gathered.append((example, rows))
        room -= size
    if gathered:
        yield gathered
