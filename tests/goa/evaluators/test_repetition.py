"""Loops, by hand and against a plain search."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa.evaluators.repetition import Repetition, RepetitionSettings, num_looping


@pytest.mark.parametrize(
    ("candidate", "value"),
    [
        ("a man rides a horse", 1.0),
        ("the the the the", 1 / 4),
        ("a man a man rides", 3 / 5),
        ("go, go, go home!", 2 / 4),
        ("a b c d a b c d", 1 / 2),
        ("a b c d e a b c d e", 1.0),  # five words are no loop of at most four
        ("a x a x a", 2 / 5),  # the last a begins a phrase that does not come to its end
        ("", 0.0),
        ("!", 0.0),
    ],
)
def test_values(candidate: str, value: float, make_sample) -> None:
    evaluator = Repetition("repetition", RepetitionSettings())
    assert evaluator.score([make_sample(candidate, "x")]).values == (pytest.approx(value),)


@given(st.lists(st.sampled_from("ab"), max_size=12), st.integers(1, 5))
def test_words_in_loops_are_those_that_a_plain_search_finds(words: list[str], order: int) -> None:
    assert num_looping(words, order) == plainly_looping(words, order)


def plainly_looping(words: Sequence[str], max_order: int) -> int:
    found = set()
    for order in range(1, max_order + 1):
        for start in range(order, len(words) - order + 1):
            if words[start - order : start] == words[start : start + order]:
                found |= set(range(start, start + order))
    return len(found)
