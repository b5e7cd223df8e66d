"""One loop, whatever the objective: exact resume, the best is kept."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.aims import finetuning_aims
from goa.trainer.anchor import Anchor
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.loop import Trainer, Validation
from goa.trainer.settings import DivergenceSettings, OptimiserSettings, ValidationSettings
from goa.trainer.update import Aim, Updater
from tests.goa.trainer.conftest import candidates, references, weights

LIKELIHOOD = Likelihood(LikelihoodSettings(kind="likelihood", label_smoothing=0.1))


class Quiet:
    """Hears everything, says nothing."""

    def advance(self, done: int, note: str) -> None:
        pass

    def record(self, update: int, values: Mapping[str, float]) -> None:
        pass


class Killed(Exception):
    """Stands for a process that goes away."""


def trainer(policy: Policy, dropout: bool = False) -> Trainer:
    settings = OptimiserSettings(learning_rate=1e-2, warmup_updates=2, schedule="linear")
    updater = Updater(policy, [Aim(objective=LIKELIHOOD)], seed=1, dropout=dropout, anchor=None)
    return Trainer(updater, settings)


def falling(policy: Policy) -> Callable[[], Validation]:
    """Validate by the log-likelihood of the references."""

    def look() -> Validation:
        rollout = references(policy)
        with torch.no_grad():
            scores = policy.score(rollout.sources, rollout.tokens, rollout.mask)
        return Validation(score=float(scores.log_probs.sum()), values={"seen": 1.0})

    return look


def test_a_run_that_is_killed_and_resumed_ends_bit_equal(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    validation = ValidationSettings(every=3)
    policies = [make_policy(), make_policy()]

    class Rounds:
        def __init__(self, policy: Policy, stop_at: int) -> None:
            self.policy, self.stop_at = policy, stop_at

        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Rollout:
            if index == self.stop_at:
                raise Killed
            whole = references(self.policy)
            return whole[index % 3 : index % 3 + 3]

    with Checkpoints(tmp_path / "whole") as checkpoints:
        made = trainer(policies[0], dropout=True)
        rounds = Rounds(policies[0], stop_at=-1)
        expected = made.run(rounds, falling(policies[0]), validation, checkpoints, Quiet())
    with Checkpoints(tmp_path / "broken") as checkpoints:
        killed = make_policy()
        with pytest.raises(Killed):
            trainer(killed, dropout=True).run(
                Rounds(killed, stop_at=8), falling(killed), validation, checkpoints, Quiet()
            )
        rounds = Rounds(policies[1], stop_at=4)  # fails if it starts again from the beginning
        resumed = trainer(policies[1], dropout=True).run(
            rounds, falling(policies[1]), validation, checkpoints, Quiet()
        )
    assert resumed.rows == expected.rows
    one, two = weights(policies[0]), weights(policies[1])
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_heads_go_on_where_they_were(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    """A killed run with a critic and a credit head ends as one that was never killed."""
    settings = FinetuneSettings.model_validate(
        {"objective": {"kind": "ppo"}, "credit": {"kind": "attention"}}
    )

    class Rounds:
        def __init__(self, policy: Policy, stop_at: int) -> None:
            self.policy, self.stop_at = policy, stop_at

        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> Rollout:
            if index == self.stop_at:
                raise Killed
            return candidates(self.policy)

    def run(folder: str, stop_at: int) -> Trainer:
        policy = make_policy()
        aims = finetuning_aims(settings, policy, seed=1)
        updater = Updater(policy, aims, seed=1, dropout=False, anchor=None)
        made = Trainer(updater, OptimiserSettings(learning_rate=1e-2))
        look = falling(policy)
        validation = ValidationSettings(every=2)
        with Checkpoints(tmp_path / folder) as checkpoints:
            made.run(Rounds(policy, stop_at), look, validation, checkpoints, Quiet())
        return made

    expected = run("whole", -1)
    with pytest.raises(Killed):
        run("broken", 5)
    resumed = run("broken", 3)
    assert len(expected.head_parameters) == 9
    for name, weight in expected.head_parameters.items():
        assert torch.equal(resumed.head_parameters[name], weight), name
        assert float(weight.detach().abs().max()) > 0.0
    for name, weight in expected.parameters.items():
        assert torch.equal(resumed.parameters[name], weight), name


def test_the_best_policy_is_kept_and_patience_ends_the_run(policy: Policy, tmp_path: Path) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.9])
    seen: list[dict[str, Tensor]] = []

    def look() -> Validation:
        seen.append(weights(policy))
        return Validation(score=next(scores), values={})

    class Rounds:
        def __len__(self) -> int:
            return 100

        def __getitem__(self, index: int) -> Rollout:
            return references(policy)

    with Checkpoints(tmp_path) as checkpoints:
        state = trainer(policy).run(
            Rounds(), look, ValidationSettings(every=2, patience=3), checkpoints, Quiet()
        )
    assert (state.best_score, state.best_update, state.update) == (0.5, 2, 8)
    ended = weights(policy)
    assert all(torch.equal(ended[name], seen[1][name]) for name in ended)


def test_a_steered_weight_survives_a_restart(policy: Policy, tmp_path: Path) -> None:
    def steered() -> Trainer:
        settings = DivergenceSettings(weight=0.5, target=0.001)
        aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
        updater = Updater(policy, aims, seed=1, dropout=False, anchor=Anchor(policy, settings))
        return Trainer(updater, OptimiserSettings(learning_rate=1e-2))

    class Rounds:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Rollout:
            return candidates(policy)

    validation = ValidationSettings(every=1)
    weights_seen = []
    for _ in range(2):
        with Checkpoints(tmp_path) as checkpoints:
            made = steered()
            made.run(Rounds(), falling(policy), validation, checkpoints, Quiet())
        assert made.updater.anchor is not None
        weights_seen.append(made.updater.anchor.weight)
    assert weights_seen[0] == weights_seen[1] != 0.5
