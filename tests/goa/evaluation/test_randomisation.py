"""Approximate randomisation: by enumeration, by laws, and sacrebleu's own tests on the same files.

What is sacrebleu's comes out of its own ``PairedTest``, which ``--paired-bs`` and ``--paired-ar``
run; ours comes from files of outputs as the pipeline measures them.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest, Result

from goa.errors import DataError
from goa.evaluation import randomisation as module
from goa.evaluation.bootstrap import Bootstrap, count_segments, paired_p_value
from goa.evaluation.measure import Evaluation, evaluate
from goa.evaluation.randomisation import Randomisation, exchanged_p_value
from goa.evaluation.significance import Significance
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import Evaluator, FloatArray, Metric, applicable, pair_samples
from goa.evaluators.ter import TerSettings
from goa.records import Example, Sample, Scores

NUM_TRIALS = 500
REFERENCES = [
    "the red bird sings at night near the river",
    "a small dog sleeps near the old wooden door",
    "two men play a game of cards in the park",
    "the woman in the blue coat waits for a bus",
    "children run over the green field after school",
] * 8
EXAMPLES = [
    Example(id=str(place), source="Quelle", references=(text,))
    for place, text in enumerate(REFERENCES)
]
METRICS: list[Metric] = [
    BleuSettings().build("bleu"),
    ChrfSettings().build("chrf"),
    TerSettings().build("ter"),
]
SACREBLEU = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}


class Mean(Evaluator):
    """Averages; only its statistics are ever used here."""

    name = "mean"
    signature = "mean"

    def score(self, samples: Sequence[Sample]) -> Scores:
        raise NotImplementedError


def spoil(share: float, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        " ".join("oops" if rng.random() < share else word for word in text.split())
        for text in REFERENCES
    ]


BASELINE, SYSTEM = spoil(0.30, seed=1), spoil(0.26, seed=2)


def test_three_examples_give_the_distribution_of_all_eight_exchanges() -> None:
    first, second = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.2, 0.8])
    exact = sorted(
        round(float(np.mean(np.array(signs) * (first - second))), 9)
        for signs in itertools.product((1, -1), repeat=3)
    )
    pair = [applicable(first.tolist())], [applicable(second.tolist())]
    (found,) = Randomisation(seed=1, trials=40_000).differences([Mean()], [pair])

    for value, group in itertools.groupby(exact):
        share = len(list(group)) / 8
        # Four standard errors of a share over 40,000 trials.
        tolerance = 4 * (share * (1 - share) / 40_000) ** 0.5
        assert np.mean(np.isclose(found, value)) == pytest.approx(share, abs=tolerance)


def test_the_p_value_by_hand() -> None:
    # Of 0.3, -0.4, 0.1 and -0.2, one is further from 0 than 0.3 is.
    assert exchanged_p_value(np.array([0.3, -0.4, 0.1, -0.2]), 0.3) == 2 / 5
    assert exchanged_p_value(np.array([0.3, -0.4, 0.1, -0.2]), -0.3) == 2 / 5


def test_outputs_that_never_differ_are_not_called_significant() -> None:
    assert exchanged_p_value(np.zeros(10), 0.0) == 1.0


def test_trials_and_differences_that_are_no_numbers_have_no_p_value() -> None:
    assert np.isnan(exchanged_p_value(np.array([np.nan, np.nan]), 0.1))
    assert np.isnan(exchanged_p_value(np.array([0.1]), float("nan")))
    assert exchanged_p_value(np.array([np.nan, 0.2]), 0.1) == 1.0


def test_the_size_of_the_chunks_changes_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = Randomisation(seed=5, trials=40)
    whole = np.concatenate(list(trials.swaps(11)))
    monkeypatch.setattr(module, "CHUNK_WEIGHTS", 35)
    chunks = list(trials.swaps(11))

    assert [len(chunk) for chunk in chunks] == [3] * 13 + [1]
    assert np.array_equal(np.concatenate(chunks), whole)


def test_exchanging_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to exchange"):
        list(Randomisation(seed=1).swaps(0))


def test_the_mean_over_pairs_is_taken_trial_by_trial() -> None:
    rng = np.random.default_rng(3)
    one, two, other = ([applicable(rng.random(9).tolist())] for _ in range(3))
    trials = Randomisation(seed=4, trials=20)
    (together,) = trials.differences([Mean()], [(one, other), (two, other)])
    apart = [trials.differences([Mean()], [(each, other)])[0] for each in (one, two)]

    assert together == pytest.approx(np.mean(apart, axis=0), rel=1e-12)


def test_changing_sides_changes_only_the_sign() -> None:
    rng = np.random.default_rng(3)
    one, other = ([applicable(rng.random(9).tolist())] for _ in range(2))
    trials = Randomisation(seed=4, trials=20)

    forth, back = (trials.differences([Mean()], [pair])[0] for pair in ((one, other), (other, one)))

    assert forth == pytest.approx(-back, rel=1e-12)


def test_equal_policies_are_told_apart_at_the_level_of_the_test() -> None:
    rng = np.random.default_rng(0)
    swaps = np.concatenate(list(Randomisation(seed=3, trials=400).swaps(150)))
    found = []
    for _ in range(600):
        gaps = rng.normal(size=150) - rng.normal(size=150)
        found.append(exchanged_p_value(((1 - 2 * swaps) @ gaps) / 150, float(gaps.mean())))

    # 5% in both directions together; four standard errors of a share over 600 trials are 3.6%.
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.036)


def measured(texts: Sequence[str]) -> Evaluation:
    return evaluate(pair_samples(EXAMPLES, texts), METRICS, Bootstrap(seed=0, resamples=10))


def sacrebleu_s(test: str) -> Mapping[str, tuple[Result, Result]]:
    """Run sacrebleu's paired test; give, by our names, its results of baseline and system."""
    test_of = PairedTest(
        [("baseline", BASELINE), ("system", SYSTEM)],
        SACREBLEU,
        [REFERENCES],
        test_type=test,
        n_samples=NUM_TRIALS,
    )
    names, (_, scores) = list(SACREBLEU), test_of()
    columns = [column for key, column in scores.items() if key != "System"]
    return dict(zip(names, ((first, second) for first, second in columns), strict=True))


def points(metric: str, score: float | None) -> float:
    """Give a score as sacrebleu does: ours of TER is 1 - TER."""
    assert score is not None
    return 100 * (1 - score if metric == "ter" else score)


@pytest.mark.parametrize("test", ["bs", "ar"])
def test_scores_are_sacrebleu_s(test: str) -> None:
    for metric, results in sacrebleu_s(test).items():
        for texts, result in zip((BASELINE, SYSTEM), results, strict=True):
            found = measured(texts).measurements[metric].score
            assert points(metric, found) == pytest.approx(result.score, rel=1e-12)


def sums_apart(weights: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Score both sides on given resamples, by every metric."""
    baseline, system = measured(BASELINE), measured(SYSTEM)
    return {
        metric.name: (
            metric.corpus(weights @ system.statistics[metric.name]),
            metric.corpus(weights @ baseline.statistics[metric.name]),
        )
        for metric in METRICS
    }


def delta(metric: str) -> float:
    first, second = (measured(texts).measurements[metric].score for texts in (SYSTEM, BASELINE))
    assert first is not None
    assert second is not None
    return first - second


def test_p_values_are_those_of_paired_bs_on_its_own_resamples() -> None:
    drawn = np.random.default_rng(12345).choice(40, size=(NUM_TRIALS, 40), replace=True)
    found = sums_apart(count_segments(drawn))
    for metric, (_, result) in sacrebleu_s("bs").items():
        assert paired_p_value(*found[metric], delta(metric)) == result.p_value


def test_p_values_are_those_of_paired_ar_on_its_own_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Randomisation, "swaps", sacrebleu_s_swaps)
    ours = contrasts("randomisation", NUM_TRIALS)
    for metric, (_, result) in sacrebleu_s("ar").items():
        assert ours[metric] == result.p_value


def sacrebleu_s_swaps(trials: Randomisation, num_examples: int) -> list[FloatArray]:
    """Draw as sacrebleu does, which takes the baseline's output first where the draw is 1."""
    drawn = np.random.default_rng(12345).integers(2, size=(trials.trials, num_examples), dtype=bool)
    return [drawn.astype(float)]


def contrasts(test: str, num_trials: int) -> dict[str, float]:
    """Test the system against the baseline as the report does: p-values by metric."""
    tests = Significance(
        metrics=METRICS,
        bootstrap=Bootstrap(seed=7, resamples=num_trials),
        test="randomisation" if test == "randomisation" else "bootstrap",
    )
    pair = (tests.resample(measured(SYSTEM)), tests.resample(measured(BASELINE)))
    return {metric: found.p_value for metric, found in tests.contrast([pair]).items()}


@pytest.mark.parametrize(("ours", "theirs"), [("bootstrap", "bs"), ("randomisation", "ar")])
def test_our_own_draws_agree_with_sacrebleu_within_the_noise_of_drawing(
    ours: str, theirs: str
) -> None:
    found = contrasts(ours, 4000)
    for metric, (_, result) in sacrebleu_s(theirs).items():
        assert result.p_value is not None
        assert 0.01 < result.p_value < 0.9
        # Four standard errors of the difference of two shares, over 4,000 draws and over 500.
        share = result.p_value
        tolerance = 4 * (share * (1 - share) * (1 / 4000 + 1 / NUM_TRIALS)) ** 0.5
        assert found[metric] == pytest.approx(share, abs=tolerance)
