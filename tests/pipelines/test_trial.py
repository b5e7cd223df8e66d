"""Evaluators on trial: their cost, and whether they say the same twice."""

from collections.abc import Callable, Sequence

import pytest

from goa.errors import EvaluatorError
from goa.evaluation.gameability import Written
from goa.evaluation.readiness import Readiness
from goa.evaluators.contract import Evaluator
from goa.evaluators.scoring import ScoringSettings
from goa.records import Example, Sample, Scores
from pipelines.trial import REFERENCE, Ground, try_evaluator

EXAMPLES = [Example(id=str(place), source="s", references=("9",)) for place in range(10)]

Score = Callable[["Fake", Sequence[Sample]], Sequence[float | None]]


class Fake(Evaluator):
    """Does as told."""

    signature = "fake"

    def __init__(self, name: str, builder: "Builder", number: int) -> None:
        self.name = name
        self.number = number
        self.reads_batch, self.draws = builder.reads_batch, builder.draws
        self.builder = builder

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.builder.calls.append([sample.candidate for sample in samples])
        return Scores(values=tuple(self.builder.rule(self, samples)))


class Builder:
    """Builds fakes, and knows how often, and what they were asked."""

    def __init__(self, rule: Score, *, reads_batch: bool = False, draws: bool = False) -> None:
        self.rule, self.reads_batch, self.draws = rule, reads_batch, draws
        self.built = 0
        self.calls: list[list[str]] = []

    def build(self, name: str) -> Evaluator:
        self.built += 1
        return Fake(name, self, self.built)


def tenths(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
    del fake
    return [int(sample.candidate or 0) / 10 for sample in samples]


def on_trial(builder: Builder, **scoring: str) -> Readiness:
    ground = Ground(
        sampled=tuple(
            Written(example=example, candidates=("1", "5", "5", "7")) for example in EXAMPLES
        ),
        greedy=tuple(Sample(example=example, candidate="6") for example in EXAMPLES),
        texts={REFERENCE: ("9",) * 10, "empty": ("",) * 10},
        scoring=ScoringSettings.model_validate(scoring),
        seed=0,
        price_per_hour=None,
    )
    return try_evaluator("fake", builder, ground)


def test_only_distinct_candidates_are_timed_after_a_first_call() -> None:
    builder = Builder(tenths)
    found = on_trial(builder)
    assert found.go
    assert found.findings is not None
    assert found.findings.cost.rewards == 30
    assert [len(call) for call in builder.calls] == [1, 30, 10, 20, 30]


def test_where_the_batch_is_read_every_candidate_is_timed() -> None:
    builder = Builder(tenths, reads_batch=True)
    found = on_trial(builder)
    assert found.findings is not None
    assert found.findings.cost.rewards == 40
    # One call to warm up, one for the samples, the greedy ones, each kind of text, and again.
    assert [len(call) for call in builder.calls] == [1, 40, 10, 40, 40, 40]


def test_loading_counts_as_cold_alone(monkeypatch) -> None:
    # Started, warmed up; started, scored: 30 rewards in 3 seconds.
    clock = iter([0.0, 50.0, 60.0, 63.0])
    monkeypatch.setattr("pipelines.trial.time.perf_counter", lambda: next(clock))
    found = on_trial(Builder(tenths))
    assert found.findings is not None
    assert found.findings.cost.seconds == pytest.approx(100.0)
    assert found.findings.cost.cold_seconds == pytest.approx(150.0)


def test_an_evaluator_whose_state_shows_in_its_scores_is_a_no_go() -> None:
    def by_place(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
        values = tenths(fake, samples)
        return [(value or 0) + place / 1000 for place, value in enumerate(values)]

    found = on_trial(Builder(by_place))
    assert any(reason.startswith("not deterministic") for reason in found.reasons)


def test_the_second_scoring_is_by_an_evaluator_built_anew() -> None:
    def by_build(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
        return [(value or 0) + 0.01 * fake.number for value in tenths(fake, samples)]

    builder = Builder(by_build)
    found = on_trial(builder)
    assert builder.built == 2
    assert found.findings is not None
    assert found.findings.largest_difference == pytest.approx(0.01)
    assert not found.go


def test_one_that_draws_may_differ() -> None:
    def by_build(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
        return [(value or 0) + 0.01 * fake.number for value in tenths(fake, samples)]

    assert on_trial(Builder(by_build, draws=True)).go


def test_a_score_that_comes_only_once_is_as_different_as_can_be() -> None:
    def once(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
        return tenths(fake, samples) if fake.number == 1 else [None] * len(samples)

    found = on_trial(Builder(once))
    assert found.findings is not None
    assert found.findings.largest_difference == 1.0


def test_an_evaluator_that_fails_is_a_no_go_with_its_message() -> None:
    def fail(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
        raise ZeroDivisionError("by zero")

    (reason,) = on_trial(Builder(fail)).reasons
    assert "it fails: evaluator fake: example '0'" in reason
    assert "ZeroDivisionError: by zero" in reason


def test_an_evaluator_that_cannot_be_built_is_a_no_go_with_its_message() -> None:
    class Broken(Builder):
        def build(self, name: str) -> Evaluator:
            raise OSError("no such model")

    (reason,) = on_trial(Broken(tenths)).reasons
    assert reason == "it fails: evaluator fake: cannot be built: OSError: no such model"


def test_an_evaluator_that_says_itself_what_is_wrong_is_quoted() -> None:
    class Refusing(Builder):
        def build(self, name: str) -> Evaluator:
            raise EvaluatorError(f"evaluator {name}: no such model")

    (reason,) = on_trial(Refusing(tenths)).reasons
    assert reason == "it fails: evaluator fake: no such model"


def sevenless(fake: Fake, samples: Sequence[Sample]) -> list[float | None]:
    values = tenths(fake, samples)
    return [None if value == 0.7 else value for value in values]


def test_a_candidate_without_reward_is_a_reason_unless_it_is_let_go() -> None:
    (reason,) = on_trial(Builder(sevenless)).reasons
    assert reason.startswith("no reward for 10 of 40 candidates")
    assert on_trial(Builder(sevenless), unscored="drop").go


def test_where_nothing_is_rewarded_that_is_said() -> None:
    found = on_trial(Builder(lambda fake, samples: [None] * len(samples)), unscored="drop")
    assert found.reasons == ("none of 40 candidates has a reward",)
