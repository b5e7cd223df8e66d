"""What is remembered, and for how long."""

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
