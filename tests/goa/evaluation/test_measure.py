"""Measuring outputs: whole, in parts, and where a metric does not apply."""

from collections.abc import Sequence

import numpy as np
import pytest

from goa.errors import DataError, EvaluatorError
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import Part, evaluate
from goa.evaluators.contract import Evaluator, FloatArray, Metric, ratio
from goa.records import Example, Sample, Scores

BOOTSTRAP = Bootstrap(seed=1, resamples=200)


class Digits(Evaluator):
    """Reads its scores off the candidate: "5 3" is 0.5 with the part 0.3; "-" does not apply."""

    name = "digits"
    signature = "digits|v1"

    def __init__(self) -> None:
        self.calls = 0

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.calls += 1
        columns = [[self._read(word) for word in s.candidate.split()] for s in samples]
        return Scores(
            values=tuple(column[0] for column in columns),
            parts={"second": tuple(column[1] for column in columns)},
        )

    @staticmethod
    def _read(word: str) -> float | None:
        return None if word == "-" else int(word) / 10


class Words(Metric):
    """Words per reference word: a description."""

    name = "words"
    signature = "words|v1"
    higher_is_better = False

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        return np.array([[len(s.candidate.split()), 4.0] for s in samples])

    def corpus(self, sums: FloatArray) -> FloatArray:
        return ratio(sums)


def samples_of(*candidates: str) -> list[Sample]:
    return [
        Sample(example=Example(id=str(i), source="s", references=("r",)), candidate=candidate)
        for i, candidate in enumerate(candidates)
    ]


def test_the_score_is_the_mean_where_the_evaluator_applies() -> None:
    found = evaluate(samples_of("5 1", "- 2", "9 3"), [Digits()], BOOTSTRAP)

    assert found.measurements["digits"].score == pytest.approx(0.7)
    assert found.measurements["digits"].signature == "digits|v1"
    assert np.array_equal(found.values["digits"], [0.5, np.nan, 0.9], equal_nan=True)
    assert found.statistics["digits"].tolist() == [[0.5, 1], [0, 0], [0.9, 1]]


def test_every_part_is_measured_after_its_evaluator() -> None:
    found = evaluate(samples_of("5 1", "5 -", "9 3"), [Digits(), Words()], BOOTSTRAP)

    assert list(found.measurements) == ["digits", "digits.second", "words"]
    assert found.measurements["digits.second"].score == pytest.approx(0.2)
    assert found.measurements["digits.second"].signature == "digits|v1|part:second"


def test_a_part_is_an_evaluator_that_gives_the_same_statistics() -> None:
    samples = samples_of("5 1", "5 -")
    found = evaluate(samples, [Digits()], BOOTSTRAP)
    part = Part(Digits(), "second")

    assert np.array_equal(part.statistics(samples), found.statistics["digits.second"])


@pytest.mark.parametrize("trait", ["reads_batch", "draws"])
def test_a_part_sees_every_sample_where_its_evaluator_does(trait: str) -> None:
    digits = Digits()
    assert getattr(Part(digits, "second"), trait) is False
    setattr(digits, trait, True)
    assert getattr(Part(digits, "second"), trait) is True


def test_an_evaluator_that_averages_scores_only_once() -> None:
    digits = Digits()
    evaluate(samples_of("5 1", "6 2"), [digits], BOOTSTRAP)

    assert digits.calls == 1


def test_a_plain_metric_gives_each_output_its_own_score() -> None:
    found = evaluate(samples_of("a b", "a b c d e f"), [Words()], BOOTSTRAP)

    assert found.measurements["words"].score == 1.0
    assert not found.measurements["words"].higher_is_better
    assert found.values["words"].tolist() == [0.5, 1.5]


def test_the_interval_holds_the_score() -> None:
    rng = np.random.default_rng(0)
    found = evaluate(
        samples_of(*(f"{digit} 0" for digit in rng.integers(0, 10, 200))), [Digits()], BOOTSTRAP
    )
    measurement = found.measurements["digits"]

    assert measurement.low is not None
    assert measurement.high is not None
    assert measurement.score is not None
    assert measurement.low < measurement.score < measurement.high


def test_a_metric_that_applies_nowhere_has_no_score() -> None:
    measurement = evaluate(samples_of("- 1", "- 2"), [Digits()], BOOTSTRAP).measurements["digits"]

    assert (measurement.score, measurement.low, measurement.high) == (None, None, None)


def test_the_order_of_the_samples_changes_no_score() -> None:
    texts = ["5 1", "9 3", "2 -", "- 4"]
    forth = evaluate(samples_of(*texts), [Digits()], BOOTSTRAP).measurements
    back = evaluate(samples_of(*texts[::-1]), [Digits()], BOOTSTRAP).measurements

    assert {name: m.score for name, m in forth.items()} == pytest.approx(
        {name: m.score for name, m in back.items()}
    )


def test_no_outputs_are_an_error() -> None:
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate([], [Digits()], BOOTSTRAP)


def test_a_broken_evaluator_is_named() -> None:
    class Broken(Digits):
        def score(self, samples: Sequence[Sample]) -> Scores:
            return Scores(values=(2.0,) * len(samples))

    with pytest.raises(EvaluatorError, match="digits"):
        evaluate(samples_of("5 1"), [Broken()], BOOTSTRAP)
