"""What is remembered, and for how long."""

import pytest

from goa.evaluators.memory import Memory


def test_what_is_known_is_not_asked_for_again() -> None:
    asked: list[list[str]] = []

    def know(texts):
        asked.append(list(texts))
        return [len(text) for text in texts]

    memory = Memory(know, size=2)
    assert memory(["a", "bb", "a"]) == [1, 2, 1]
    assert memory(["bb", "ccc"]) == [2, 3]
    assert memory([]) == []
    assert memory(["a", "ccc"]) == [1, 3]
    assert asked == [["a", "bb"], ["ccc"], ["a"]]


def test_more_texts_than_it_remembers_are_all_answered() -> None:
    assert Memory(lambda texts: [text.upper() for text in texts], size=1)(["a", "b"]) == ["A", "B"]


def test_what_was_asked_for_last_is_remembered_longest() -> None:
    asked: list[str] = []

    def know(texts):
        asked.extend(texts)
        return texts

    memory = Memory(know, size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        memory([text])
    assert asked == ["a", "b", "c", "b"]


def test_as_many_values_as_texts_are_insisted_on() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Memory(lambda texts: texts[1:])(["a", "b"])
