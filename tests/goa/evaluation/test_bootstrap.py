"""Resampling, intervals and p-values: by enumeration, by laws, and against sacrebleu."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import Result, _paired_bs_test

from goa.errors import DataError
from goa.evaluation import bootstrap as module
from goa.evaluation.bootstrap import Bootstrap, bonferroni, count_segments, holm, paired_p_value
from goa.evaluators.contract import Evaluator, FloatArray, Metric, applicable
from goa.records import Sample, Scores

REFERENCES = [
    "the red bird sings at night near the river",
    "a small dog sleeps near the old wooden door",
    "two men play a game of cards in the park",
    "the woman in the blue coat waits for a bus",
    "children run over the green field after school",
] * 8


class Mean(Evaluator):
    """Averages; only its statistics are ever used here."""

    name = "mean"
    signature = "mean"

    def score(self, samples: Sequence[Sample]) -> Scores:
        raise NotImplementedError


class CorpusBleu(Metric):
    """sacrebleu's own corpus score, in points, without any step of ours."""

    name = "bleu"
    signature = "bleu"

    def __init__(self) -> None:
        self.reference = BLEU()

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        raise NotImplementedError

    def corpus(self, sums: FloatArray) -> FloatArray:
        rows = sums.reshape(-1, sums.shape[-1]).tolist()
        scores = [self.reference._compute_score_from_stats(row).score for row in rows]
        return np.asarray(scores).reshape(sums.shape[:-1])


def spoil(texts: Sequence[str], share: float, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        " ".join("oops" if rng.random() < share else word for word in text.split())
        for text in texts
    ]


def test_three_segments_give_the_distribution_of_all_27_resamples() -> None:
    values = np.array([0.0, 0.3, 0.9])
    exact = sorted(np.mean(draw) for draw in itertools.product(values, repeat=3))
    statistics = applicable(values.tolist())

    bootstrap = Bootstrap(seed=1, resamples=100_000)
    (scores,) = bootstrap.scores([Mean()], [statistics])

    for value, group in itertools.groupby(np.round(exact, 9)):
        share = len(list(group)) / 27
        # Four standard errors of a share over 100,000 draws.
        tolerance = 4 * (share * (1 - share) / 100_000) ** 0.5
        assert np.mean(np.isclose(scores, value)) == pytest.approx(share, abs=tolerance)


def test_the_interval_of_all_resamples_is_found_by_hand() -> None:
    # Of the 27 means of three draws from (0, 0, 1), 8 are 0, 12 are 1/3, 6 are 2/3 and 1 is 1.
    scores = np.array([0.0] * 8 + [1 / 3] * 12 + [2 / 3] * 6 + [1.0])

    assert Bootstrap(seed=0, confidence=0.95).interval(scores) == (0.0, pytest.approx(0.7833333))
    assert Bootstrap(seed=0, confidence=0.2).interval(scores) == (
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
    )


def test_every_row_of_weights_counts_as_many_segments_as_there_are() -> None:
    weights = np.concatenate(list(Bootstrap(seed=5, resamples=50).weights(7)))

    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights >= 0).all()


def test_counting_drawn_segments_by_hand() -> None:
    counted = count_segments(np.array([[0, 0, 2], [1, 2, 2]]))

    assert counted.tolist() == [[2, 0, 1], [0, 1, 2]]


def test_the_size_of_the_chunks_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(Bootstrap(seed=5, resamples=40).weights(11)))
    monkeypatch.setattr(module, "CHUNK_WEIGHTS", 35)
    chunks = list(Bootstrap(seed=5, resamples=40).weights(11))

    assert [len(chunk) for chunk in chunks] == [3] * 13 + [1]
    assert np.array_equal(np.concatenate(chunks), whole)


def test_all_metrics_see_the_same_resamples() -> None:
    statistics = applicable(np.random.default_rng(0).random(20).tolist())
    bootstrap = Bootstrap(seed=2, resamples=30)
    together = bootstrap.scores([Mean(), Mean()], [statistics, 2 * statistics])
    (alone,) = bootstrap.scores([Mean()], [statistics])

    assert np.allclose(together[0], together[1], rtol=1e-12)
    assert np.allclose(together[0], alone, rtol=1e-12)


def test_another_seed_draws_other_resamples() -> None:
    first = np.concatenate(list(Bootstrap(seed=1, resamples=5).weights(30)))
    second = np.concatenate(list(Bootstrap(seed=2, resamples=5).weights(30)))

    assert not np.array_equal(first, second)


def test_resampling_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="no segments"):
        Bootstrap(seed=1).scores([Mean()], [np.zeros((0, 2))])


def test_a_metric_that_applies_to_few_segments_still_gets_an_interval() -> None:
    bootstrap = Bootstrap(seed=3, resamples=500)
    (scores,) = bootstrap.scores([Mean()], [applicable([None, None, None, 0.4])])

    assert np.isnan(scores).any()
    assert bootstrap.interval(scores) == (pytest.approx(0.4), pytest.approx(0.4))


def test_a_metric_that_applies_nowhere_has_no_interval_and_no_p_value() -> None:
    bootstrap = Bootstrap(seed=3, resamples=50)
    (scores,) = bootstrap.scores([Mean()], [applicable([None, None])])

    assert np.isnan(bootstrap.interval(scores)).all()
    assert np.isnan(paired_p_value(scores, scores, np.nan))


def test_the_p_value_by_hand() -> None:
    # Differences 1, 3, 2, 6: mean 3; less the mean -2, 0, -1, 3; one of four exceeds 2.
    scores, baseline = np.array([1.0, 0.0, 2.0, 6.0]), np.array([0.0, 3.0, 0.0, 0.0])

    assert paired_p_value(scores, baseline, -2.0) == 2 / 5


def test_the_p_value_does_not_ask_which_system_comes_first() -> None:
    rng = np.random.default_rng(4)
    scores, baseline = rng.random(200), rng.random(200)

    assert paired_p_value(scores, baseline, 0.1) == paired_p_value(baseline, scores, -0.1)


def test_outputs_that_never_differ_are_not_called_significant() -> None:
    scores = np.array([0.1, 0.2, 0.3])

    assert paired_p_value(scores, scores, 0.0) == 1.0


def test_equal_policies_come_out_better_and_worse_at_the_level_of_the_test() -> None:
    rng = np.random.default_rng(0)
    weights = np.concatenate(list(Bootstrap(seed=3, resamples=400).weights(150))) / 150
    better = worse = 0
    for _ in range(600):
        first, second = rng.normal(size=150), rng.normal(size=150)
        delta = first.mean() - second.mean()
        if paired_p_value(weights @ first, weights @ second, delta) < 0.05:
            better, worse = better + (delta > 0), worse + (delta < 0)

    # 5% each way; four standard errors of a share over 600 trials are 3.6%.
    assert better / 600 == pytest.approx(0.05, abs=0.036)
    assert worse / 600 == pytest.approx(0.05, abs=0.036)


@pytest.fixture
def systems() -> tuple[list[str], list[str]]:
    """Give the outputs of a baseline and of a slightly better system."""
    return spoil(REFERENCES, 0.30, seed=1), spoil(REFERENCES, 0.26, seed=2)


def test_p_value_and_scores_equal_those_of_sacrebleu_on_the_same_resamples(
    systems: tuple[list[str], list[str]],
) -> None:
    metric = CorpusBleu()
    baseline, system = (
        np.asarray(metric.reference._extract_corpus_statistics(texts, [REFERENCES]), float)
        for texts in systems
    )
    baseline_result = Result(float(metric.corpus(baseline.sum(axis=0))))
    _, expected = _paired_bs_test(
        {"BLEU": (baseline.tolist(), baseline_result)},
        "system",
        systems[1],
        [REFERENCES],
        {"BLEU": metric.reference},
        n_samples=300,
        seed=12345,
    )

    drawn = np.random.default_rng(12345).choice(40, size=(300, 40), replace=True)
    weights = count_segments(drawn)
    scores, baseline_scores = metric.corpus(weights @ system), metric.corpus(weights @ baseline)
    difference = float(metric.corpus(system.sum(axis=0))) - baseline_result.score

    assert paired_p_value(scores, baseline_scores, difference) == expected["BLEU"].p_value
    # sacrebleu divides in float32.
    assert scores.mean() == pytest.approx(expected["BLEU"].mean, rel=1e-7)
    low, high = Bootstrap(seed=0).interval(scores)
    # sacrebleu takes the 8th of 300 from either end, we interpolate between it and the 9th.
    ordered = np.sort(scores)
    assert expected["BLEU"].ci == pytest.approx((ordered[-8] - ordered[7]) / 2, rel=1e-6)
    assert ordered[7] < low < ordered[8]
    assert ordered[-9] < high < ordered[-8]


def test_our_own_resamples_agree_with_sacrebleu_within_resampling_noise(
    systems: tuple[list[str], list[str]],
) -> None:
    metric = CorpusBleu()
    baseline, system = (
        np.asarray(metric.reference._extract_corpus_statistics(texts, [REFERENCES]), float)
        for texts in systems
    )
    difference = float(metric.corpus(system.sum(axis=0)) - metric.corpus(baseline.sum(axis=0)))

    def p_value(weights: FloatArray) -> float:
        return paired_p_value(
            metric.corpus(weights @ system), metric.corpus(weights @ baseline), difference
        )

    ours = p_value(np.concatenate(list(Bootstrap(seed=7, resamples=1500).weights(40))))
    drawn = np.random.default_rng(12345).choice(40, size=(1500, 40), replace=True)

    # Two p-values near 0.1 over 1,500 draws each: standard error of the difference 0.011.
    assert ours == pytest.approx(p_value(count_segments(drawn)), abs=0.04)
    assert 0.01 < ours < 0.5


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == [
        pytest.approx(0.03),
        pytest.approx(0.06),
        pytest.approx(0.06),
    ]


def test_holm_leaves_a_single_comparison_alone() -> None:
    assert holm([0.2]) == [0.2]


def test_holm_never_passes_one_and_does_not_count_missing_tests() -> None:
    adjusted = holm([0.9, float("nan"), 0.4])

    assert adjusted[0] == 0.9
    assert np.isnan(adjusted[1])
    assert adjusted[2] == 0.8


def test_bonferroni_by_hand() -> None:
    adjusted = bonferroni([0.01, 0.4, float("nan")], 3)

    assert adjusted[:2] == [pytest.approx(0.03), 1.0]
    assert np.isnan(adjusted[2])


def test_no_metrics_have_no_scores() -> None:
    assert Bootstrap(seed=1).scores([], []) == []
