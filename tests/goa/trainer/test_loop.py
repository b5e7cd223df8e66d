"""One loop, whatever is learnt: exact resume, the best is kept, phases, collapse."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.errors import TrainingError
from goa.objectives.head import Head
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.aims import finetuning_aims
from goa.trainer.anchor import Anchor
from goa.trainer.collapse import CollapseSettings
from goa.trainer.contract import Phase, TrainingState, Validation
from goa.trainer.diagnostics import Lesson
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.loop import Trainer
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import DivergenceSettings, OptimiserSettings, ValidationSettings
from goa.trainer.update import Aim, NotFiniteError, RolloutLearner, UpdatePlan, Updater
from tests.goa.trainer.conftest import candidates, references, weights

LIKELIHOOD = Likelihood(LikelihoodSettings(kind="likelihood", label_smoothing=0.1))
OPTIMISER = OptimiserSettings(learning_rate=1e-2, warmup_updates=2, schedule="linear")


class Ear:
    """Hears everything, says nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.advanced: list[tuple[int, str]] = []
        self.recorded: list[tuple[int, Mapping[str, float]]] = []

    def advance(self, done: int, note: str) -> None:
        self.advanced.append((done, note))

    def record(self, update: int, values: Mapping[str, float]) -> None:
        self.recorded.append((update, values))

    def say(self, text: str) -> None:
        self.said.append(text)

    def is_asked_to_stop(self) -> bool:
        return False

    def stop(self, update: int) -> NoReturn:
        raise AssertionError("nobody asked")


class Killed(Exception):
    """Stands for a process that goes away."""


@dataclass
class Rounds:
    """Makes rollouts, until it is killed."""

    make: Callable[[int], Rollout]
    num_rounds: int
    stop_at: int = -1

    def __len__(self) -> int:
        return self.num_rounds

    def __getitem__(self, index: int) -> Rollout:
        if index == self.stop_at:
            raise Killed
        return self.make(index)


def falling(policy: Policy) -> Callable[[], Validation]:
    """Validate by the log-likelihood of the references."""

    def look() -> Validation:
        rollout = references(policy)
        with torch.no_grad():
            scores = policy.score(rollout.sources, rollout.tokens, rollout.mask)
        return Validation(score=float(scores.log_probs.sum()), values={"seen": 1.0})

    return look


def likelihood_phase(policy: Policy, rounds: Rounds, **changes: Any) -> Phase:
    updater = Updater(policy, [Aim(objective=LIKELIHOOD)], UpdatePlan(seed=1, dropout=True))
    fields: dict[str, Any] = {
        "learner": RolloutLearner(rounds, updater),
        "validate": falling(policy),
        "optimiser": OPTIMISER,
        "validation": ValidationSettings(every=3),
        **changes,
    }
    return Phase(**fields)


def train(trainer: Trainer, folder: Path, ear: Ear | None = None) -> TrainingState:
    with Checkpoints(folder) as checkpoints:
        return trainer.run(checkpoints, ear or Ear())


def equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def thirds(policy: Policy) -> Callable[[int], Rollout]:
    whole = references(policy)
    return lambda index: whole[index % 3 : index % 3 + 3]


def test_a_run_that_is_killed_and_resumed_ends_bit_equal(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    def run(folder: str, stop_at: int) -> tuple[TrainingState, dict[str, Tensor]]:
        policy = make_policy()
        phase = likelihood_phase(policy, Rounds(thirds(policy), 10, stop_at))
        return train(Trainer(policy, [lambda: phase]), tmp_path / folder), weights(policy)

    expected = run("whole", -1)
    with pytest.raises(Killed):
        run("broken", 8)
    resumed = run("broken", 4)  # fails if it starts again from the beginning
    assert resumed[0] == expected[0]
    assert equal(resumed[1], expected[1])


class Hurried(Ear):
    """Is asked to stop in the middle of every update."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped_after: list[int] = []

    def is_asked_to_stop(self) -> bool:
        return True

    def stop(self, update: int) -> NoReturn:
        self.stopped_after.append(update)
        raise Killed


def test_a_run_that_is_asked_to_stop_after_every_update_ends_bit_equal(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    def run(folder: str, ear: Ear) -> tuple[TrainingState, dict[str, Tensor]]:
        policy = make_policy()
        phase = likelihood_phase(policy, Rounds(thirds(policy), 7))
        return train(Trainer(policy, [lambda: phase]), tmp_path / folder, ear), weights(policy)

    expected = run("whole", Ear())
    hurried = Hurried()
    for _ in range(7):
        with pytest.raises(Killed):
            run("broken", hurried)
    assert hurried.stopped_after == [1, 2, 3, 4, 5, 6, 7]
    resumed = run("broken", hurried)
    assert resumed[0] == expected[0]
    assert [row["update"] for row in resumed[0].rows] == [0, 3, 6, 7]
    assert equal(resumed[1], expected[1])


def test_what_was_learnt_from_is_counted_and_the_time_of_the_rounds(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr("goa.trainer.loop.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    rounds = Rounds(thirds(policy), 4)
    state = train(Trainer(policy, [lambda: likelihood_phase(policy, rounds)]), tmp_path)
    masks = [rounds[index].mask for index in range(4)]
    assert state.texts == sum(len(mask) for mask in masks)
    assert state.tokens == sum(int(mask.sum()) for mask in masks)
    assert state.seconds == 4.0
    assert all("tokens" not in row for row in state.rows)


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("killed_at", [(0, 2), (1, 0), (1, 5)])
def test_phases_killed_anywhere_end_bit_equal(
    make_policy: Callable[..., Policy], tmp_path: Path, carries: bool, killed_at: tuple[int, int]
) -> None:
    def run(folder: str, stop_at: tuple[int, int]) -> tuple[TrainingState, dict[str, Tensor]]:
        policy = make_policy()

        def phase(place: int, num_rounds: int) -> Callable[[], Phase]:
            stop = stop_at[1] if stop_at[0] == place else -1
            return lambda: likelihood_phase(
                policy,
                Rounds(thirds(policy), num_rounds, stop),
                carries_optimiser=carries,
                validation=ValidationSettings(every=2),
            )

        trainer = Trainer(policy, [phase(0, 5), phase(1, 6)])
        return train(trainer, tmp_path / folder), weights(policy)

    expected = run("whole", (-1, -1))
    with pytest.raises(Killed):
        run("broken", killed_at)
    resumed = run("broken", (-1, -1))
    assert resumed[0] == expected[0]
    assert equal(resumed[1], expected[1])
    assert (resumed[0].update, resumed[0].phase, resumed[0].phase_start) == (11, 1, 5)
    assert [row["update"] for row in resumed[0].rows] == [0, 2, 4, 5, 5, 7, 9, 11]


def test_moments_come_over_from_the_phase_before_only_if_told(
    policy: Policy, tmp_path: Path
) -> None:
    def moments_at_the_start(*, carries: bool) -> list[bool]:
        found = []

        class Looking(Stub):
            def learn(self, index: int, optimiser: Optimiser) -> Lesson:
                found.append(bool(optimiser.adam.state))
                return super().learn(index, optimiser)

        phases = [
            stub_phase(policy, [0.1, 0.2, 0.3], learner=Looking(policy, 2)),
            stub_phase(
                policy, [0.1, 0.2, 0.3], learner=Looking(policy, 2), carries_optimiser=carries
            ),
        ]
        trainer = Trainer(policy, [lambda: phases[0], lambda: phases[1]])
        train(trainer, tmp_path / str(carries))
        return found

    assert moments_at_the_start(carries=True) == [False, True, True, True]
    assert moments_at_the_start(carries=False) == [False, True, False, True]


@dataclass
class Stub:
    """A learner that moves one weight up by its learning rate, and says what it is told to."""

    policy: Policy
    num_rounds: int
    entropies: Sequence[float] = ()
    heads: Sequence[Head] = ()

    def __len__(self) -> int:
        return self.num_rounds

    def learn(self, index: int, optimiser: Optimiser) -> Lesson:
        for weight in self.policy.model.parameters():
            if weight.requires_grad:
                weight.grad = torch.full_like(weight, -1.0)
        optimiser.step(index)
        totals = {"loss": (0.0, 1.0)}
        if self.entropies:
            totals["entropy"] = (self.entropies[index], 1.0)
        return Lesson(totals=totals)


def scores(*values: float) -> Callable[[], Validation]:
    given: Iterator[float] = iter(values)
    return lambda: Validation(score=next(given), values={})


def stub_phase(policy: Policy, looks: Sequence[float], **changes: Any) -> Phase:
    """A phase with a look after every round."""
    fields: dict[str, Any] = {
        "learner": Stub(policy, len(looks) - 1, changes.pop("entropies", ())),
        "validate": scores(*looks),
        "optimiser": OptimiserSettings(learning_rate=0.1, max_grad_norm=1e9),
        "validation": ValidationSettings(every=1),
        **changes,
    }
    return Phase(**fields)


def moved(policy: Policy, before: Mapping[str, Tensor]) -> float:
    """How far the first weight has moved."""
    name = next(name for name, weight in policy.model.named_parameters() if weight.requires_grad)
    return float((policy.model.get_parameter(name).detach() - before[name]).mean())


def test_the_best_policy_is_kept_and_patience_ends_the_run(policy: Policy, tmp_path: Path) -> None:
    before = weights(policy)
    phase = stub_phase(
        policy,
        [0.1, 0.5, 0.5, 0.3, 0.2, 0.9],  # of equals the first
        validation=ValidationSettings(every=1, patience=3),
    )
    state = train(Trainer(policy, [lambda: phase]), tmp_path)
    assert (state.best_score, state.best_update, state.update) == (0.5, 1, 4)
    assert moved(policy, before) == pytest.approx(0.1, rel=1e-4)


def test_each_phase_starts_from_the_best_policy_of_the_one_before(
    policy: Policy, tmp_path: Path
) -> None:
    before, started = weights(policy), []

    def second() -> Phase:
        started.append(moved(policy, before))
        return stub_phase(policy, [0.05, 0.01, 0.02])

    first = stub_phase(policy, [0.1, 0.5, 0.4, 0.3])
    state = train(Trainer(policy, [lambda: first, second]), tmp_path)
    assert started == [pytest.approx(0.1, rel=1e-4)]
    # Nothing in the second phase was better than its start: that is what it ends with.
    assert (state.best_score, state.best_update, state.update) == (0.05, 3, 5)
    assert moved(policy, before) == pytest.approx(0.1, rel=1e-4)


def test_every_update_and_every_look_of_each_phase_is_told(policy: Policy, tmp_path: Path) -> None:
    ear, every = Ear(), ValidationSettings(every=3)
    phases = [
        stub_phase(policy, [0.1, 0.2, 0.3], learner=Stub(policy, 4), validation=every),
        stub_phase(policy, [0.4, 0.5, 0.6], learner=Stub(policy, 5), validation=every),
    ]
    state = train(Trainer(policy, [lambda: phases[0], lambda: phases[1]]), tmp_path, ear)
    assert ear.advanced == [(update, "loss 0.000") for update in range(1, 10)]
    # A phase looks when it begins and when it ends, and counts from its own beginning.
    assert [update for update, _ in ear.recorded] == [0, 3, 4, 4, 7, 9]
    assert [row for _, row in ear.recorded] == state.rows
    assert [row["update"] for row in state.rows] == [0, 3, 4, 4, 7, 9]


@pytest.mark.parametrize(
    ("looks", "entropies", "reason"),
    [
        ([0.4, 0.6, 0.2, 0.7], [], "the validation score fell from 0.6000 to 0.2000"),
        ([0.4, 0.6, 0.5, 0.7], [2.0, 0.05, 2.0], "entropy fell from 2.0000 to 0.0500 nats"),
    ],
)
def test_a_collapsed_policy_is_taken_back_and_goes_on_more_slowly(
    policy: Policy, tmp_path: Path, looks: list[float], entropies: list[float], reason: str
) -> None:
    before, ear = weights(policy), Ear()
    phase = stub_phase(policy, looks, entropies=entropies, collapse=CollapseSettings())
    state = train(Trainer(policy, [lambda: phase]), tmp_path, ear)
    assert len(ear.said) == 1
    assert ear.said[0].startswith(f"update 2: {reason}")
    assert "the policy of update 1 is taken back, and the learning rate halved" in ear.said[0]
    # 0.1 in the first round; the second is undone; the third is half a step.
    assert moved(policy, before) == pytest.approx(0.15, rel=1e-3)
    assert state.restorations == 1
    assert [row.get("collapsed") for row in state.rows] == [None, 0.0, 1.0, 0.0]


def test_moments_are_forgotten_with_the_policy_they_were_of(policy: Policy, tmp_path: Path) -> None:
    found = []

    class Looking(Stub):
        def learn(self, index: int, optimiser: Optimiser) -> Lesson:
            found.append(bool(optimiser.adam.state))
            return super().learn(index, optimiser)

    looks = [0.4, 0.6, 0.2, 0.7]
    phase = stub_phase(policy, looks, learner=Looking(policy, 3), collapse=CollapseSettings())
    train(Trainer(policy, [lambda: phase]), tmp_path)
    assert found == [False, True, False]


def test_a_policy_that_collapses_again_and_again_ends_the_phase(
    policy: Policy, tmp_path: Path
) -> None:
    ear = Ear()
    looks = [0.6, 0.1, 0.1, 0.1, 0.1, 0.1]
    phase = stub_phase(policy, looks, collapse=CollapseSettings(restorations=2))
    state = train(Trainer(policy, [lambda: phase]), tmp_path, ear)
    assert (len(ear.said), state.update, state.best_update) == (3, 3, 0)


def test_a_run_killed_after_a_collapse_goes_on_as_slowly(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    def run(folder: str, looks: list[float], stop_at: int) -> dict[str, Tensor]:
        policy = make_policy()

        class Stopping(Stub):
            def learn(self, index: int, optimiser: Optimiser) -> Lesson:
                if index == stop_at:
                    raise Killed
                return super().learn(index, optimiser)

        phase = stub_phase(policy, looks, learner=Stopping(policy, 4), collapse=CollapseSettings())
        train(Trainer(policy, [lambda: phase]), tmp_path / folder)
        return weights(policy)

    expected = run("whole", [0.4, 0.6, 0.1, 0.7, 0.8], -1)
    with pytest.raises(Killed):
        run("broken", [0.4, 0.6, 0.1], 2)
    assert equal(run("broken", [0.7, 0.8], -1), expected)


def test_what_is_no_collapse_is_left_alone(policy: Policy, tmp_path: Path) -> None:
    ear = Ear()
    looks, entropies = [0.6, 0.31, 0.59], [2.0, 0.11]
    phase = stub_phase(policy, looks, entropies=entropies, collapse=CollapseSettings())
    train(Trainer(policy, [lambda: phase]), tmp_path, ear)
    assert ear.said == []


def test_a_loss_that_is_no_number_ends_the_run_with_its_batch_saved(
    policy: Policy, tmp_path: Path
) -> None:
    rollout = candidates(policy)

    class Breaking(Stub):
        def learn(self, index: int, optimiser: Optimiser) -> Lesson:
            if index == 2:
                raise NotFiniteError("the loss is nan", rollout)
            return super().learn(index, optimiser)

    phase = stub_phase(policy, [0.1, 0.2, 0.3, 0.4, 0.5], learner=Breaking(policy, 4))
    with pytest.raises(TrainingError, match=r"update 3: the loss is nan; lower .* the batch is in"):
        train(Trainer(policy, [lambda: phase]), tmp_path)
    saved = load_file(tmp_path / "update-3.safetensors")
    assert rollout.rewards is not None
    assert torch.equal(saved["tokens"], rollout.tokens)
    assert torch.equal(saved["rewards"], rollout.rewards)
    assert torch.equal(saved["sources"], rollout.sources.ids)
    assert torch.equal(saved["sources_mask"], rollout.sources.mask)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest_step() == 2


def test_the_batch_of_a_process_of_several_is_told_from_those_of_others(
    policy: Policy, tmp_path: Path
) -> None:
    class Breaking(Stub):
        def learn(self, index: int, optimiser: Optimiser) -> Lesson:
            raise NotFiniteError("the loss is nan", candidates(policy))

    phase = stub_phase(policy, [0.1, 0.2], learner=Breaking(policy, 1))
    trainer = Trainer(policy, [lambda: phase])
    trainer.team.rank = 1
    with pytest.raises(TrainingError, match=r"update-1-process-2\.safetensors"):
        train(trainer, tmp_path)
    assert (tmp_path / "update-1-process-2.safetensors").exists()


def test_a_broken_model_is_never_saved(policy: Policy, tmp_path: Path) -> None:
    class Breaking(Stub):
        def learn(self, index: int, optimiser: Optimiser) -> Lesson:
            lesson = super().learn(index, optimiser)
            if index == 1:
                next(iter(self.policy.model.parameters())).data.fill_(float("nan"))
            return lesson

    phase = stub_phase(policy, [0.1, 0.2, 0.3, 0.4], learner=Breaking(policy, 3))
    with pytest.raises(TrainingError, match=r"update 2: the weights .* are not finite"):
        train(Trainer(policy, [lambda: phase]), tmp_path)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest_step() == 1


def test_heads_go_on_where_they_were(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    """A killed run with a critic and a credit head ends as one that was never killed."""
    settings = FinetuneSettings.model_validate(
        {"objective": {"kind": "ppo"}, "credit": {"kind": "attention"}}
    )

    def run(folder: str, stop_at: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        policy = make_policy()
        aims = finetuning_aims(settings, policy, seed=1)
        updater = Updater(policy, aims, UpdatePlan(seed=1))
        rounds = Rounds(lambda _: candidates(policy), 6, stop_at)
        phase = likelihood_phase(
            policy,
            rounds,
            learner=RolloutLearner(rounds, updater),
            optimiser=OptimiserSettings(learning_rate=1e-2),
            validation=ValidationSettings(every=2),
        )
        train(Trainer(policy, [lambda: phase]), tmp_path / folder)
        heads = {
            f"{place}.{name}": weight.detach()
            for place, head in enumerate(updater.heads)
            for name, weight in head.network.named_parameters()
        }
        return heads, weights(policy)

    expected = run("whole", -1)
    with pytest.raises(Killed):
        run("broken", 5)
    resumed = run("broken", 3)
    assert len(expected[0]) == 9
    assert equal(resumed[0], expected[0])
    assert equal(resumed[1], expected[1])
    assert all(float(weight.abs().max()) > 0.0 for weight in expected[0].values())


class Diary:
    """Learns a number a round, beside the policy."""

    name = "diary"

    def __init__(self) -> None:
        self.pages = torch.zeros(1)

    def state(self) -> dict[str, Tensor]:
        return {"pages": self.pages.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.pages = state["pages"].clone()


def test_what_learns_beside_the_policy_goes_on_where_it_was(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    def run(folder: str, stop_at: int) -> Tensor:
        policy, diary = make_policy(), Diary()
        rollouts = thirds(policy)

        def make(index: int) -> Rollout:
            diary.pages = 2 * diary.pages + index
            return rollouts(index)

        phase = likelihood_phase(policy, Rounds(make, 10, stop_at), learners=[diary])
        train(Trainer(policy, [lambda: phase]), tmp_path / folder)
        return diary.pages

    expected = run("whole", -1)
    with pytest.raises(Killed):
        run("broken", 8)
    assert torch.equal(run("broken", -1), expected)


def test_a_steered_weight_survives_a_restart(policy: Policy, tmp_path: Path) -> None:
    def run() -> float:
        anchor = Anchor(policy, DivergenceSettings(weight=0.5, target=0.001))
        aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
        updater = Updater(policy, aims, UpdatePlan(seed=1), anchor)
        phase = likelihood_phase(
            policy,
            Rounds(lambda _: candidates(policy), 4),
            learner=RolloutLearner(Rounds(lambda _: candidates(policy), 4), updater),
            validation=ValidationSettings(every=1),
        )
        train(Trainer(policy, [lambda: phase], anchor), tmp_path)
        return anchor.weight

    first = run()
    assert run() == first != 0.5
