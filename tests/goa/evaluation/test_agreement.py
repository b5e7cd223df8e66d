"""Agreement within sources, worked by hand."""

import numpy as np
import pytest

from goa.evaluation.agreement import Agreement, agreement, mid_ranks, rank_correlation


def test_tied_values_share_the_mean_of_their_ranks() -> None:
    assert mid_ranks(np.asarray([0.5, 0.1, 0.5, 0.9])).tolist() == [2.5, 1.0, 2.5, 4.0]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0.2, 0.3, 0.4, 0.9], 1.0),
        ([0.9, 0.4, 0.3, 0.2], -1.0),
        # Ranks 2, 1, 4, 3: 1 - 6 * (1 + 1 + 1 + 1) / (4 * 15).
        ([0.3, 0.2, 0.9, 0.4], 0.6),
        # Ranks 1.5, 1.5, 3.5, 3.5 lie -1, -1, 1, 1 from their mean, the others -1.5, -0.5, 0.5,
        # 1.5: 4 / sqrt(4 * 5).
        ([0.2, 0.2, 0.9, 0.9], 4 / 20**0.5),
    ],
)
def test_the_correlation_is_that_of_ranks(second: list[float], expected: float) -> None:
    first = np.asarray([0.1, 0.2, 0.3, 0.4])
    assert rank_correlation(first, np.asarray(second)) == pytest.approx(expected, abs=1e-12)


def test_any_scale_that_keeps_the_order_agrees_wholly() -> None:
    values = np.random.default_rng(0).random(30)
    assert rank_correlation(values, values**7) == pytest.approx(1.0, abs=1e-12)


def test_sources_are_averaged_and_the_best_are_compared() -> None:
    found = agreement(
        [
            ([0.1, 0.2, 0.3], [0.2, 0.4, 0.9]),  # the same order
            ([0.1, 0.2, 0.3], [0.9, 0.4, 0.2]),  # the opposite
        ]
    )
    assert found == Agreement(sources=2, rank_correlation=pytest.approx(0.0), same_best=0.5)


@pytest.mark.parametrize(
    ("second", "same"),
    [
        ([0.9, 0.1, 0.2], 1.0),
        ([0.1, 0.9, 0.2], 1.0),
        ([0.1, 0.2, 0.9], 0.0),
        ([0.9, 0.1, 0.9], 1.0),
    ],
)
def test_any_of_those_tied_for_the_best_may_stay_the_best(second: list[float], same: float) -> None:
    assert agreement([([0.5, 0.5, 0.1], second)]).same_best == same


def test_sources_without_signal_from_either_are_left_out() -> None:
    silent, loud = [0.3, 0.3], [0.1, 0.2]
    found = agreement([(silent, loud), (loud, silent), (silent, silent), (loud, loud)])
    assert found == Agreement(sources=1, rank_correlation=pytest.approx(1.0), same_best=1.0)


def test_candidates_that_either_does_not_apply_to_are_left_out() -> None:
    found = agreement([([0.9, 0.1, 0.2, None], [None, 0.3, 0.4, 0.1]), ([None], [0.1])])
    assert found == Agreement(sources=1, rank_correlation=pytest.approx(1.0), same_best=1.0)


def test_without_sources_there_is_nothing_to_say() -> None:
    assert agreement([]) == Agreement(sources=0, rank_correlation=None, same_best=None)
