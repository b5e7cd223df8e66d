"""Guards: what counts as worse, what can be the best, and what raises an alarm."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from goa.errors import SettingsError
from goa.evaluation.alarms import load_alarms, save_alarms
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example, Sample, Scores
from goa.settings import validate
from goa.trainer.contract import Guarded, Phase, TrainingState, Validation
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.guards import Guards, make_guards
from goa.trainer.loop import Trainer
from goa.trainer.settings import ValidationSettings
from tests.conftest import write_corpus
from tests.goa.trainer.conftest import references, weights
from tests.goa.trainer.test_loop import (
    Ear,
    Killed,
    Rounds,
    equal,
    likelihood_phase,
    moved,
    stub_phase,
    thirds,
    train,
)

NUM_EXAMPLES = 40
EXAMPLES = [
    Example(id=str(place), source=f"Quelle {place}", references=(f"reference {place}", "another"))
    for place in range(NUM_EXAMPLES)
]


class Words(Evaluator):
    """Pays a tenth for each word; an empty text has no score."""

    name = signature = "words"

    def score(self, samples: Sequence[Sample]) -> Scores:
        counts = [len(sample.candidate.split()) for sample in samples]
        return Scores(values=tuple(count / 10 if count else None for count in counts))


def texts(*counts: int) -> list[str]:
    """Write so many words for each example, over and over."""
    return [" ".join(["w"] * counts[place % len(counts)]) for place in range(NUM_EXAMPLES)]


def guards(significance: float = 0.05, resamples: int = 999) -> Guards:
    return Guards([Words()], EXAMPLES, Bootstrap(seed=3, resamples=resamples), significance)


def test_a_fall_of_every_output_is_significant_and_told_in_words() -> None:
    # Every draw falls by the same, so none is further from the mean fall: p = 1 / (999 + 1).
    found = guards().look(texts(3, 5), texts(4, 6))
    assert found.values == {"validation_words": pytest.approx(0.4, abs=1e-12)}
    assert found.worse == {"words": "0.5000 to 0.4000, p = 0.001"}


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(texts(4, 6), id="nothing has changed"),
        pytest.param(texts(5, 7), id="every output is better"),
        pytest.param(texts(3, 7, 3, 7, 5), id="as many are better as are worse, nearly"),
    ],
)
def test_what_is_no_significant_fall_is_not_worse(now: list[str]) -> None:
    assert guards().look(now, texts(4, 6, 4, 6, 5)).worse == {}


def test_the_bound_is_what_settings_say() -> None:
    fallen, first = texts(3, 5), texts(4, 6)
    assert guards(0.0011).look(fallen, first).worse != {}
    assert guards(0.001).look(fallen, first).worse == {}  # p is 0.001: not below


def test_looks_are_held_against_the_first_one_whatever_came_between() -> None:
    found = guards()
    first = texts(4, 6)
    assert found.look(first, first).worse == {}
    assert found.look(texts(8), first).worse == {}
    assert found.look(texts(6, 4), first).worse == {}
    assert list(found.look(texts(3, 5), first).worse) == ["words"]


def test_a_guard_that_applies_to_no_output_has_no_value_and_is_not_worse() -> None:
    found = guards().look(texts(0), texts(4))
    assert (found.values, found.worse) == ({}, {})


class Told:
    """Says of each look which guards are worse; remembers what it was asked."""

    def __init__(self, *worse: Sequence[str]) -> None:
        self.worse = list(worse)
        self.firsts: list[list[str]] = []

    def look(self, outputs: Sequence[str], first: Sequence[str]) -> Guarded:
        self.firsts.append(list(first))
        return Guarded(values={}, worse=dict.fromkeys(self.worse.pop(0), "4 to 3"))


def phase(policy: Policy, scores: Sequence[float], **changes: Any) -> Phase:
    given = iter(scores)

    def look() -> Validation:
        score = next(given)
        return Validation(
            score=score, values={"validation_reward": score}, outputs=(f"score {score}",)
        )

    return stub_phase(policy, scores, validate=look, **changes)


NONE: tuple[str, ...] = ()


def test_a_look_with_a_worse_guard_never_becomes_the_best(policy: Policy, tmp_path: Path) -> None:
    before, ear = weights(policy), Ear()
    told = Told(NONE, NONE, ["a"], ["a", "b"], NONE)
    one = phase(policy, [0.1, 0.5, 0.9, 0.8, 0.4])
    state = train(Trainer(policy, [lambda: one], guards=told), tmp_path, ear)
    assert (state.best_score, state.best_update, state.looks_since_best) == (0.5, 1, 3)
    assert moved(policy, before) == pytest.approx(0.1, rel=1e-4)
    assert state.worse_since == {}  # it recovered
    assert ear.said == [
        "update 2: guard a is significantly worse than at the start (4 to 3), while the validation "
        "reward went from 0.1000 to 0.9000; until it recovers, no policy counts as the best",
        "update 3: guard b is significantly worse than at the start (4 to 3), while the validation "
        "reward went from 0.1000 to 0.8000; until it recovers, no policy counts as the best",
    ]


def test_the_first_look_always_qualifies(policy: Policy, tmp_path: Path) -> None:
    one = phase(policy, [0.1, 0.5])
    state = train(Trainer(policy, [lambda: one], guards=Told(["a"], ["a"])), tmp_path)
    assert (state.best_update, state.worse_since) == (0, {"a": 0})


def test_patience_counts_looks_that_a_guard_holds_back(policy: Policy, tmp_path: Path) -> None:
    one = phase(policy, [0.1, 0.2, 0.3, 0.4], validation=ValidationSettings(every=1, patience=2))
    told = Told(NONE, ["a"], ["a"], NONE)
    state = train(Trainer(policy, [lambda: one], guards=told), tmp_path)
    assert (state.update, state.best_update, state.worse_since) == (2, 0, {"a": 1})


def test_all_phases_are_held_against_the_start_of_the_first(policy: Policy, tmp_path: Path) -> None:
    made = [phase(policy, [0.1, 0.2]), phase(policy, [0.3, 0.4])]
    told = Told(NONE, NONE, NONE, NONE)
    state = train(Trainer(policy, [lambda: made[0], lambda: made[1]], guards=told), tmp_path)
    assert told.firsts == 4 * [["score 0.1"]]
    assert state.last_outputs == ["score 0.4"]


def test_without_guards_no_outputs_are_kept(policy: Policy, tmp_path: Path) -> None:
    one = phase(policy, [0.1, 0.5])
    state = train(Trainer(policy, [lambda: one]), tmp_path)
    assert (state.first_outputs, state.last_outputs) == ([], [])


def wordy(policy: Policy) -> Callable[[], Validation]:
    """Validate by the likelihood of references, which rises; write fewer words as it does."""

    def look() -> Validation:
        rollout = references(policy)
        with torch.no_grad():
            scores = policy.score(rollout.sources, rollout.tokens, rollout.mask)
        rows = (-scores.log_probs.sum(dim=(1, 2)) / 8).tolist()
        outputs = tuple(" ".join(["w"] * int(row)) for row in rows)
        score = -sum(rows)
        return Validation(score=score, values={"validation_reward": score}, outputs=outputs)

    return look


@pytest.mark.parametrize("killed_at", [(0, 3), (0, 4), (1, 0), (1, 5)])
def test_guarded_training_killed_anywhere_ends_as_if_it_had_not_been(
    make_policy: Callable[..., Policy], tmp_path: Path, killed_at: tuple[int, int]
) -> None:
    def run(
        folder: str, stop_at: tuple[int, int]
    ) -> tuple[TrainingState, dict[str, Tensor], list[Any]]:
        policy = make_policy()

        def make(place: int, num_rounds: int) -> Callable[[], Phase]:
            stop = stop_at[1] if stop_at[0] == place else -1
            return lambda: likelihood_phase(
                policy,
                Rounds(thirds(policy), num_rounds, stop),
                validate=wordy(policy),
                validation=ValidationSettings(every=1),
            )

        watching = Guards([Words()], EXAMPLES[:5], Bootstrap(seed=3, resamples=99), 0.05)
        trainer = Trainer(policy, [make(0, 5), make(1, 6)], guards=watching)
        state = train(trainer, tmp_path / folder)
        return state, weights(policy), watching.alarms("x-1", state)

    expected = run("whole", (-1, -1))
    with pytest.raises(Killed):
        run("broken", killed_at)
    resumed = run("broken", (-1, -1))
    assert resumed[0] == expected[0]
    assert equal(resumed[1], expected[1])
    assert resumed[2] == expected[2]
    # There is something to be equal: the guard fell, and held back all that came after.
    (alarm,) = expected[2]
    assert alarm.began > 0
    assert expected[0].best_update < expected[0].update
    assert alarm.chosen == expected[0].best_update


def state_of(rewards: Sequence[float], **changes: Any) -> TrainingState:
    """Stand at the end of a run that looked after each update."""
    rows = [
        {"update": update, "validation_reward": reward, "validation_words": 0.5 - 0.1 * update}
        for update, reward in enumerate(rewards)
    ]
    fields: dict[str, Any] = {
        "update": len(rows) - 1,
        "best_update": 1,
        "worse_since": {"words": 2},
        "first_outputs": texts(4),
        "last_outputs": texts(3, 2, 1, 4, 5, 0, 1, 1),
        "rows": rows,
    }
    return TrainingState(**fields | changes)


def test_an_alarm_tells_since_when_how_far_and_which_outputs_lost_most() -> None:
    (alarm,) = guards().alarms("bleu-17", state_of([0.2, 0.3, 0.4, 0.5]))
    assert (alarm.policy, alarm.guard, alarm.began, alarm.chosen) == ("bleu-17", "words", 2, 1)
    assert (alarm.reward_before, alarm.reward_after) == (0.2, 0.5)
    assert (alarm.guard_before, alarm.guard_after) == (0.5, pytest.approx(0.2))
    # From four words to one: the third of eight, and so on; those without a score are left out.
    assert [each.source for each in alarm.examples] == [
        f"Quelle {place}" for place in (2, 6, 7, 10, 14)
    ]
    first = alarm.examples[0]
    assert (first.reference, first.before, first.after) == ("reference 2", "w w w w", "w")
    assert (first.score_before, first.score_after) == (0.4, 0.1)


def test_what_lost_most_is_not_what_scored_least() -> None:
    state = state_of([0.2, 0.5], first_outputs=texts(9, 4), last_outputs=texts(6, 2))
    (alarm,) = guards().alarms("x-1", state)
    assert [each.source for each in alarm.examples] == [f"Quelle {n}" for n in (0, 2, 4, 6, 8)]


@pytest.mark.parametrize("between", [0.1, 0.9])
def test_a_reward_rose_if_the_last_is_above_the_first(between: float) -> None:
    assert len(guards().alarms("x-1", state_of([0.2, between, 0.3]))) == 1
    assert guards().alarms("x-1", state_of([0.3, between, 0.2])) == []


def test_there_is_no_alarm_where_the_reward_did_not_rise_or_the_guard_recovered() -> None:
    assert guards().alarms("x-1", state_of([0.5, 0.6, 0.5, 0.4])) == []
    assert guards().alarms("x-1", state_of([0.2, 0.5], worse_since={})) == []


def test_the_reward_of_draws_counts_too_within_the_last_phase() -> None:
    state = state_of([0.5, 0.5, 0.5, 0.5, 0.5])
    for row, reward in zip(state.rows[1:], (0.9, 0.1, 0.3, 0.4), strict=True):
        row["reward"] = reward
    assert guards().alarms("x-1", state) == []  # 0.9 to 0.4
    state.phase_start = 1
    assert len(guards().alarms("x-1", state)) == 1  # 0.1 to 0.4
    state.rows[3]["reward"] = 0.05
    assert len(guards().alarms("x-1", state)) == 1  # whatever came between


def test_alarms_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    alarms = guards().alarms("bleu-17", state_of([0.2, 0.3, 0.4, 0.5]))
    save_alarms(tmp_path / "bleu-17.json", alarms)
    assert load_alarms(tmp_path / "bleu-17.json") == tuple(alarms)
    save_alarms(tmp_path / "none.json", [])
    assert load_alarms(tmp_path / "none.json") == ()


SETTINGS: dict[str, Any] = {"objective": {"kind": "reinforce"}, "validation": {"num_sources": 3}}


@pytest.mark.parametrize(
    ("guard", "problem"),
    [
        ({"length_ratio": {"kind": "length_ratio"}}, "guards.length_ratio.kind: 'length_ratio' is"),
        ({"blue": {"kind": "blue"}}, "guards.blue.kind: 'blue' is none of .* did you mean bleu"),
        ({"length": {"kind": "distinct"}}, "guards.length: validation_length names"),
        (
            {"mine": {"kind": "python", "function": "mine:score", "seed": 1}},
            "guards.mine: draws at random",
        ),
    ],
)
def test_what_cannot_guard_is_refused_with_its_path(guard: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        validate(FinetuneSettings, {**SETTINGS, "guards": guard}, "params.yaml")


def test_what_would_have_to_learn_first_cannot_guard(tmp_path: Path) -> None:
    settings = FinetuneSettings.model_validate({**SETTINGS, "guards": {"e": {"kind": "energy"}}})
    corpus = write_corpus(tmp_path / "validation.arrow", EXAMPLES)
    with pytest.raises(SettingsError, match="finetune.guards.e: learns"):
        make_guards(settings, corpus, seed=1)


def test_guards_are_made_of_settings_for_the_sources_of_validation(tmp_path: Path) -> None:
    named = {"chrf": {"kind": "chrf"}, "ter": {"kind": "ter"}}
    settings = FinetuneSettings.model_validate(
        {**SETTINGS, "guards": named, "guarding": {"significance": 0.2, "resamples": 7}}
    )
    corpus = write_corpus(tmp_path / "validation.arrow", EXAMPLES)
    found = make_guards(settings, corpus, seed=9)
    assert found is not None
    assert [guard.name for guard in found.metrics] == ["chrf", "ter"]
    assert list(found.examples) == EXAMPLES[:3]
    assert (found.bootstrap, found.significance) == (Bootstrap(seed=9, resamples=7), 0.2)
    assert make_guards(FinetuneSettings.model_validate(SETTINGS), corpus, seed=9) is None


def test_a_phase_has_no_guards_of_its_own_and_a_control_has_the_arms() -> None:
    named = {"chrf": {"kind": "chrf"}}
    settings = FinetuneSettings.model_validate({**SETTINGS, "guards": named, "phases": [{}, {}]})
    assert [resolved.settings.guards for resolved in settings.resolved()] == [{}, {}]
    assert list(settings.as_control("constant").guards) == ["chrf"]
