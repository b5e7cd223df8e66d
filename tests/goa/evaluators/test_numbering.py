"""Texts become numbers, in batches of a size that memory has room for."""

import numpy as np
import pytest

from goa.evaluators import numbering
from goa.evaluators.numbering import CharacterNumbering, WordNumbering, batches
from goa.evaluators.rouge import Rouge, RougeSettings
from goa.records import Example, Sample

EXAMPLES = [Example(id=key, source="", references=("abc",)) for key in "123"]


def samples_of(*written: tuple[int, str]) -> list[Sample]:
    return [Sample(example=EXAMPLES[which], candidate=text) for which, text in written]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        # By example: 3 + 2 + 1, 3 + 4 and 3 + 1 characters.
        (17, [[0, 2, 1, 3]]),
        (16, [[0, 2, 1], [3]]),
        (13, [[0, 2, 1], [3]]),
        (12, [[0, 2], [1, 3]]),
        (10, [[0, 2], [1], [3]]),
        (1, [[0, 2], [1], [3]]),
    ],
)
def test_examples_are_put_together_as_long_as_there_is_room(
    room: int, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "CHARACTERS_PER_BATCH", room)
    samples = samples_of((0, "ab"), (1, "wxyz"), (0, "c"), (2, "d"))
    found = list(batches(samples))
    assert [rows for rows, _ in found] == expected
    for rows, groups in found:
        written = [(example, text) for example, texts in groups for text in texts]
        assert written == [(samples[row].example, samples[row].candidate) for row in rows]


def test_words_are_forgotten_once_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "_REMEMBERED_WORDS", 2)
    asked: list[str] = []

    def tokens(word: str) -> list[str]:
        asked.append(word)
        return [word]

    words = WordNumbering(str.split, tokens)
    for text in ("a b", "a b c", "c", "a"):  # before the third there are 3, after it 1
        words([text])
    assert asked == ["a", "b", "c", "c", "a"]


@pytest.mark.parametrize("variant", ["rouge1", "rougeL"])
def test_forgetting_words_changes_no_score(variant, monkeypatch, make_sample) -> None:
    monkeypatch.setattr(numbering, "_REMEMBERED_WORDS", 2)
    monkeypatch.setattr(numbering, "CHARACTERS_PER_BATCH", 1)
    rouge = Rouge("rouge", RougeSettings(variant=variant))
    samples = [make_sample(f"{word} x y", f"{word} y", key=word) for word in "abcdef"]
    assert rouge.score(samples).values == (pytest.approx(0.8),) * 6
    assert len(rouge._numbering._tokens) <= 4


def test_half_a_surrogate_pair_is_a_character_too() -> None:
    numbers, lengths = CharacterNumbering(str)(["a \ud800", ""])
    np.testing.assert_array_equal(numbers, [ord("a"), 0xD800])
    np.testing.assert_array_equal(lengths, [2, 0])
