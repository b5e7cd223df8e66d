"""Values relative to those of a source's other candidates."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa.evaluators.normalisation import Normalisation, normalise, ranks, z_scores
from goa.records import Example, Sample

ONE, OTHER = (Example(id=key, source="s", references=("r",)) for key in "ab")
both = pytest.mark.parametrize("how", ["z_score", "rank"])
values = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def of(*examples: Example) -> list[Sample]:
    return [Sample(example=example, candidate="c") for example in examples]


def test_z_scores_are_as_worked_by_hand() -> None:
    # Mean 0.5, standard deviation 0.1.
    found = z_scores([0.4, 0.6])
    assert found == pytest.approx([0.15865525393145707, 0.8413447460685429], abs=1e-12)


def test_ranks_are_as_worked_by_hand_and_ties_share_theirs() -> None:
    assert ranks([0.9, 0.1, 0.5, 0.5]) == [7 / 8, 1 / 8, 4 / 8, 4 / 8]
    assert ranks([0.3, 0.3]) == [0.5, 0.5]


def test_equal_values_are_all_in_the_middle() -> None:
    assert z_scores([0.1, 0.1, 0.1]) == [0.5, 0.5, 0.5]


def test_values_that_hardly_differ_are_told_apart() -> None:
    low, *_, high = z_scores([0.0, *[5e-324] * 9])
    assert low < 0.5 <= high


@both
def test_sources_are_normalised_apart_wherever_their_samples_stand(how: Normalisation) -> None:
    samples = of(ONE, OTHER, ONE, OTHER)
    low, high = normalise([0.1, 0.2], of(ONE, ONE), how)
    found = normalise([0.1, 0.9, 0.2, 0.8], samples, how)
    assert found == pytest.approx((low, high, high, low), abs=1e-12)


@both
def test_a_lone_candidate_keeps_its_value(how: Normalisation) -> None:
    assert normalise([0.1, 0.7], of(ONE, OTHER), how) == (0.1, 0.7)


@both
def test_none_stays_none_and_is_compared_with_nothing(how: Normalisation) -> None:
    low, high = normalise([0.1, 0.7], of(ONE, ONE), how)
    assert normalise([0.1, None, 0.7], of(ONE, ONE, ONE), how) == (low, None, high)
    assert normalise([0.1, None], of(ONE, ONE), how) == (0.1, None)


def test_none_at_all_changes_nothing() -> None:
    assert normalise([0.1, None, 0.7], of(ONE, ONE, ONE), "none") == (0.1, None, 0.7)


@both
@given(drawn=values, seed=st.integers())
def test_the_order_of_candidates_only_orders_what_they_get(
    how: Normalisation, drawn: list[float], seed: int
) -> None:
    order = random.Random(seed).sample(range(len(drawn)), len(drawn))
    samples = of(*[ONE] * len(drawn))
    found = normalise(drawn, samples, how)
    permuted = normalise([drawn[row] for row in order], samples, how)
    assert permuted == tuple(found[row] for row in order)


@both
@given(drawn=values)
def test_what_was_better_is_not_worse_and_stays_in_the_unit_interval(
    how: Normalisation, drawn: list[float]
) -> None:
    found = normalise(sorted(drawn), of(*[ONE] * len(drawn)), how)
    known = [value for value in found if value is not None]
    assert known == sorted(known)
    assert all(0 <= value <= 1 and not math.isnan(value) for value in known)


@given(values)
def test_ranks_average_to_a_half(drawn: list[float]) -> None:
    assert sum(ranks(drawn)) / len(drawn) == pytest.approx(0.5, abs=1e-12)
