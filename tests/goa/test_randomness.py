"""Randomness follows from what it is for."""

import pytest

from goa.randomness import Shuffle, derive_seed, generator


@pytest.mark.parametrize("size", [1, 2, 3, 64, 1000, 1025])
def test_a_shuffle_is_a_permutation(size: int) -> None:
    assert sorted(Shuffle(size, 1, "x")[:].tolist()) == list(range(size))


def test_any_part_of_a_shuffle_is_reached_at_once() -> None:
    shuffle = Shuffle(1000, 1, "x")
    assert shuffle[300:310].tolist() == shuffle[:][300:310].tolist()
    assert len(Shuffle(10**12, 1, "x")[5 * 10**11 : 5 * 10**11 + 3]) == 3


def test_shuffles_of_other_seeds_and_purposes_differ_and_move_most_items() -> None:
    one = Shuffle(1000, 1, "x")[:]
    for other in (Shuffle(1000, 2, "x")[:], Shuffle(1000, 1, "y")[:], range(1000)):
        assert sum(a == b for a, b in zip(one, other, strict=True)) < 10


def test_a_shuffle_leaves_no_trace_of_the_order_before() -> None:
    """Neighbours end up anywhere: their mean distance is that of random pairs, a third."""
    places = Shuffle(30_000, 9, "x")[:]
    distance = abs(places[1:] - places[:-1]).mean() / 30_000
    assert distance == pytest.approx(1 / 3, abs=0.01)


def test_seeds_tell_names_from_numbers_and_their_boundaries() -> None:
    seeds = {
        derive_seed(1, "a", 2),
        derive_seed(1, "a", "2"),
        derive_seed(1, "a2"),
        derive_seed(12, "a"),
    }
    assert len(seeds) == 4


def test_generators_of_the_same_purpose_agree() -> None:
    assert generator(1, "x").random() == generator(1, "x").random()
    assert generator(1, "x").random() != generator(1, "y").random()
