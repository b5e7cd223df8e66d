"""Noise on sources."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa.data.noise import NoiseSettings, add_noise, noised
from goa.randomness import generator
from goa.records import Example

TEXT = " ".join(["abcdefgh"] * 2000)


def noise(text: str, swaps: float, drops: float) -> str:
    return add_noise(text, NoiseSettings(swaps=swaps, drops=drops), generator(1, "test"))


def test_words_go_missing_as_often_as_said_and_nothing_else_changes() -> None:
    found = noise(TEXT, 0.0, 0.2).split()
    assert set(found) == {"abcdefgh"}
    assert len(found) == pytest.approx(1600, abs=60)


def test_neighbours_change_places_as_often_as_said() -> None:
    found = noise(TEXT, 0.1, 0.0).split()
    assert len(found) == 2000
    swapped = 0
    for word in found:
        assert Counter(word) == Counter("abcdefgh")
        moved = [place for place, letter in enumerate(word) if letter != "abcdefgh"[place]]
        for first, second in zip(moved[::2], moved[1::2], strict=True):
            assert second == first + 1
        swapped += len(moved) // 2
    # A pair right after a swapped one has no chance: 7 pairs, 0.1 each, less those.
    assert swapped / 2000 == pytest.approx(0.7 / 1.1 + 0.01, abs=0.06)


def test_without_noise_a_text_stays() -> None:
    assert noise("a man  rides a horse", 0.0, 0.0) == "a man rides a horse"


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_something_is_always_left(text: str, swaps: float, drops: float) -> None:
    found = noise(text, swaps, drops)
    assert bool(found.split()) == bool(text.split())
    assert sum(map(len, found.split())) <= sum(map(len, text.split()))


def test_which_noise_follows_from_seed_and_id_alone() -> None:
    examples = [Example(id=name, source=TEXT[:200], references=("r",)) for name in "abc"]
    settings = NoiseSettings(swaps=0.3, drops=0.3)
    together = noised(examples, settings, 1, "test")
    assert noised(examples[::-1], settings, 1, "test") == together[::-1]
    assert len({example.source for example in together}) == 3
    assert noised(examples, settings, 2, "test") != together
    assert [(example.id, example.references) for example in together] == [
        (example.id, example.references) for example in examples
    ]


def test_an_empty_text_stays_empty() -> None:
    assert noise("", 0.5, 0.5) == ""
