"""Tests over examples and over seeds: by hand, against scipy, and by laws."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from goa.evaluation.bootstrap import Bootstrap, paired_p_value
from goa.evaluation.measure import Evaluation, Measurement
from goa.evaluation.significance import (
    Contrast,
    Resampled,
    Significance,
    in_pairs,
    mean_draws,
    seeds_p_value,
)
from goa.evaluators.contract import Evaluator, applicable
from goa.records import Sample, Scores


class Mean(Evaluator):
    """Averages; only its statistics are ever used here."""

    name = "mean"
    signature = "mean"

    def score(self, samples: Sequence[Sample]) -> Scores:
        raise NotImplementedError


TESTS = Significance(metrics=[Mean()], bootstrap=Bootstrap(seed=5, resamples=2000))


def evaluation(values: Sequence[float | None]) -> Evaluation:
    """Measure outputs whose values are given."""
    statistics = applicable(values)
    score = float(Mean().corpus(statistics.sum(axis=0)))
    measurement = Measurement(
        name="mean",
        signature="mean",
        higher_is_better=True,
        score=None if np.isnan(score) else score,
        low=None,
        high=None,
    )
    return Evaluation(
        measurements={"mean": measurement},
        statistics={"mean": statistics},
        values={"mean": np.asarray(values, dtype=float)},
    )


def resampled(values: Sequence[float | None]) -> Resampled:
    return TESTS.resample(evaluation(values))


def draws(*scores: float) -> Resampled:
    """Make a policy of which only the resampled scores are known."""
    return Resampled(evaluation=evaluation([0.5]), draws={"mean": np.array(scores)})


def contrast(*pairs: tuple[Resampled, Resampled]) -> Contrast:
    return TESTS.contrast(pairs)["mean"]


def policies(center: float, count: int, num_examples: int = 50) -> list[Resampled]:
    rng = np.random.default_rng(int(100 * center))
    return [
        resampled(np.clip(rng.normal(center, 0.1, num_examples), 0, 1).tolist())
        for _ in range(count)
    ]


def test_the_test_over_seeds_by_hand() -> None:
    # Mean 2, spread 1, so t = 2 / (1 / sqrt(3)) with 2 degrees of freedom, whose distribution is
    # known: P(|T| > t) = 1 - t / sqrt(t^2 + 2).
    t = 2 * 3**0.5
    assert seeds_p_value([1.0, 2.0, 3.0]) == pytest.approx(1 - t / (t**2 + 2) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(
    "deltas", [[0.01, 0.03], [0.012, -0.004, 0.02], [-0.02, -0.021, -0.019, -0.018, 0.001]]
)
def test_the_test_over_seeds_is_scipy_s(deltas: list[float]) -> None:
    expected = stats.ttest_1samp(deltas, 0.0).pvalue
    assert seeds_p_value(deltas) == pytest.approx(expected, rel=1e-9)


def test_seeds_that_agree_to_the_last_bit_have_no_spread_to_be_measured_by() -> None:
    assert seeds_p_value([0.25, 0.25]) == 0.0
    assert seeds_p_value([0.0, 0.0, 0.0]) == 1.0


@pytest.mark.parametrize("deltas", [[], [0.3], [0.3, float("nan")]])
def test_too_few_seeds_have_no_p_value(deltas: list[float]) -> None:
    assert np.isnan(seeds_p_value(deltas))


def test_equal_arms_are_told_apart_over_seeds_at_the_level_of_the_test() -> None:
    rng = np.random.default_rng(0)
    found = [seeds_p_value(rng.normal(size=4).tolist()) for _ in range(2000)]
    # Four standard errors of a share of 5% over 2,000 trials.
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.0195)


def test_draws_are_averaged_resample_by_resample() -> None:
    found = mean_draws([draws(0.1, 0.4, 0.9), draws(0.3, 0.2, 0.5)], "mean")
    assert found == pytest.approx([0.2, 0.3, 0.7], rel=1e-12)


def test_the_delta_is_the_mean_over_pairs() -> None:
    pairs = [(resampled([0.2, 0.6]), resampled([0.1, 0.1])), (resampled([0.9]), resampled([0.4]))]
    # Pairs of other sizes would not be resampled alike, but their scores are what they are.
    assert contrast(*pairs).delta == pytest.approx((0.3 + 0.5) / 2, rel=1e-12)


def test_one_seed_is_the_paired_bootstrap() -> None:
    (first,), (second,) = policies(0.52, 1), policies(0.5, 1)
    found = contrast((first, second))
    apart = first.draws["mean"] - second.draws["mean"]

    assert found.p_value == paired_p_value(first.draws["mean"], second.draws["mean"], found.delta)
    assert (found.low, found.high) == TESTS.bootstrap.interval(apart)
    assert np.isnan(found.seeds_p_value)


def test_the_p_value_of_several_seeds_is_that_of_their_means() -> None:
    arm, (baseline,) = policies(0.51, 3), policies(0.5, 1)
    found = contrast(*[(each, baseline) for each in arm])

    expected = paired_p_value(mean_draws(arm, "mean"), baseline.draws["mean"], found.delta)
    assert found.p_value == expected


def test_the_order_of_seeds_changes_nothing_but_which_of_them_are_drawn() -> None:
    pairs = list(zip(policies(0.53, 3), policies(0.5, 3), strict=True))
    found = [contrast(*order) for order in permutations(pairs)]

    for other in found[1:]:
        assert other.delta == pytest.approx(found[0].delta, rel=1e-12)
        assert other.p_value == found[0].p_value
        assert other.seeds_p_value == pytest.approx(found[0].seeds_p_value, rel=1e-9)
        # Drawn by other numbers: the standard error of these ends over 2,000 draws is 0.001.
        assert other.low == pytest.approx(found[0].low, abs=0.005)
        assert other.high == pytest.approx(found[0].high, abs=0.005)


def test_intervals_know_the_spread_over_seeds() -> None:
    # Every example of a seed has the same delta: all there is to resample is seeds.
    flat = resampled([0.5] * 20)
    pairs = [(resampled([0.5 + delta] * 20), flat) for delta in (0.0, 0.1)]
    low, high = contrast(*pairs).low, contrast(*pairs).high

    # Of two seeds, a quarter of the draws holds the first alone, and a quarter the second.
    assert (low, high) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.1, rel=1e-9))


def test_the_draws_of_two_seeds_are_distributed_as_by_enumeration() -> None:
    flat = resampled([0.5] * 20)
    pairs = [(resampled([0.5 + delta] * 20), flat) for delta in (0.0, 0.1)]
    drawn = TESTS._drawn_deltas("mean", pairs)

    for value, share in ((0.0, 0.25), (0.05, 0.5), (0.1, 0.25)):
        # Four standard errors over 2,000 draws.
        assert np.mean(np.isclose(drawn, value)) == pytest.approx(share, abs=0.045)


def test_a_policy_without_a_score_leaves_everything_unknown() -> None:
    nothing, something = resampled([None, None]), resampled([0.5, 0.6])
    found = contrast((nothing, something), (something, something))

    assert np.isnan([found.delta, found.low, found.high]).all()
    assert np.isnan([found.p_value, found.seeds_p_value]).all()


def test_seeds_are_paired_with_equal_seeds_or_with_the_one_there_is() -> None:
    one, two, three, four = (draws(score) for score in (0.1, 0.2, 0.3, 0.4))

    assert in_pairs([one, two], [three, four]) == [(one, three), (two, four)]
    assert in_pairs([one, two], [three]) == [(one, three), (two, three)]
    with pytest.raises(ValueError, match="longer"):
        in_pairs([one], [three, four])
