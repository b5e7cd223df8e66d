"""One loop, whatever the objective: exact steps, exact resume, the best is kept."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.errors import TrainingError
from goa.objectives.best_of_n import BestOfN, BestOfNSettings
from goa.objectives.contract import Batch
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.loop import Trainer, Validation
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings, ValidationSettings
from tests.conftest import SENTENCES

LIKELIHOOD = Likelihood(LikelihoodSettings(kind="likelihood", label_smoothing=0.1))


class Quiet:
    """Hears everything, says nothing."""

    def advance(self, done: int, note: str) -> None:
        pass

    def record(self, update: int, values: Mapping[str, float]) -> None:
        pass


class Killed(Exception):
    """Stands for a process that goes away."""


def references(policy: Policy) -> Rollout:
    """Five sources with a reference of another length each."""
    targets = policy.pad(policy.target_ids(SENTENCES[::-1]))
    return Rollout(
        sources=policy.tokenize_sources(SENTENCES),
        tokens=targets.ids[:, None],
        mask=targets.mask[:, None],
    )


def weights(policy: Policy) -> dict[str, Tensor]:
    """Copy all weights."""
    return {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}


def trainer(
    policy: Policy, tokens_per_pass: int = 1000, dropout: bool = False, rate: float = 1e-2
) -> Trainer:
    settings = OptimiserSettings(
        learning_rate=rate, warmup_updates=2, schedule="linear", tokens_per_pass=tokens_per_pass
    )
    return Trainer(policy, LIKELIHOOD, settings, seed=1, dropout=dropout)


def falling(policy: Policy) -> Callable[[], Validation]:
    """Validate by the log-likelihood of the references."""

    def look() -> Validation:
        rollout = references(policy)
        with torch.no_grad():
            scores = policy.score(rollout.sources, rollout.tokens, rollout.mask)
        return Validation(score=float(scores.log_probs.sum()), values={"seen": 1.0})

    return look


def gradient(policy: Policy, tokens_per_pass: int) -> Tensor:
    """The gradient that a step is taken on."""
    seen: list[Tensor] = []
    made = trainer(policy, tokens_per_pass)
    optimiser = Optimiser(made.parameters, made.settings, 10)

    def note(*_: object) -> None:
        seen.extend(
            tensor.grad.clone().flatten()
            for tensor in made.parameters.values()
            if tensor.grad is not None
        )

    optimiser.adam.register_step_pre_hook(note)
    made.update(references(policy), optimiser, 0)
    return torch.cat(seen)


def test_accumulating_over_passes_changes_nothing(make_policy: Callable[..., Policy]) -> None:
    whole = gradient(make_policy(), tokens_per_pass=1000)
    parts = gradient(make_policy(), tokens_per_pass=12)
    assert torch.allclose(whole, parts, atol=1e-6)
    assert float(whole.norm()) > 0.1


def test_a_step_is_taken_on_the_loss_divided_by_the_whole_steps_weight(policy: Policy) -> None:
    made = trainer(policy)
    rollout = references(policy)
    scores = policy.score(rollout.sources, rollout.tokens, rollout.mask)
    batch = Batch(
        mask=rollout.mask, log_probs=scores.log_probs, mean_log_probs=scores.mean_log_probs
    )
    loss = LIKELIHOOD(batch)
    parts = torch.autograd.grad(loss.sum / loss.weight, list(made.parameters.values()))
    expected = torch.cat([part.flatten() for part in parts]).norm()
    done = made.update(rollout, Optimiser(made.parameters, made.settings, 10), 0)
    assert done["grad_norm"][0] == pytest.approx(float(expected), rel=1e-5)


def test_where_nothing_is_to_be_learnt_no_step_is_taken(policy: Policy) -> None:
    made = trainer(policy)
    optimiser = Optimiser(made.parameters, made.settings, 10)
    rollout = references(policy)
    made.update(rollout, optimiser, 0)
    before = weights(policy)
    # A single candidate is the best and the worst; the optimiser's momentum must not move it.
    made.objective = BestOfN(BestOfNSettings(kind="best_of_n"))
    done = made.update(dataclasses.replace(rollout, rewards=torch.ones(5, 1)), optimiser, 1)
    assert done["grad_norm"] == (0.0, 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(policy).items())


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


def test_a_loss_that_is_not_finite_ends_the_run_before_a_step(policy: Policy) -> None:
    made = trainer(policy)
    before = weights(policy)
    with torch.no_grad():
        policy.model.get_parameter("model.shared.weight")[0] = math.nan
    with pytest.raises(TrainingError, match="loss of update 1 is nan: not finite"):
        made.update(references(policy), Optimiser(made.parameters, made.settings, 1), 0)
    name = "model.encoder.layers.0.fc1.weight"
    assert torch.equal(before[name], weights(policy)[name])


def test_the_divergence_is_exactly_zero_before_the_first_step(policy: Policy) -> None:
    rollout = references(policy)
    rewards = torch.tensor([[0.2], [0.9], [0.4], [0.1], [0.5]])
    scored = Rollout(
        sources=rollout.sources, tokens=rollout.tokens, mask=rollout.mask, rewards=rewards
    )
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline="none"))
    made = Trainer(policy, objective, OptimiserSettings(), seed=1, dropout=False)
    made.measure_divergence()
    optimiser = Optimiser(made.parameters, made.settings, 10)
    first = made.update(scored, optimiser, 0)
    second = made.update(scored, optimiser, 1)
    assert first["kl"][0] == 0.0
    assert second["kl"][0] > 0.0
    assert first["entropy"][0] > 0.0


def test_learning_rates_warm_up_and_fall() -> None:
    def rates(**settings: object) -> list[float]:
        made = OptimiserSettings(learning_rate=1.0, warmup_updates=2, **settings)  # type: ignore[arg-type]
        optimiser = Optimiser({"w": torch.zeros(1, requires_grad=True)}, made, total_updates=6)
        return [optimiser.learning_rate(update) for update in range(6)]

    assert rates() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert rates(schedule="linear") == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert rates(schedule="inverse_sqrt")[2:] == pytest.approx(
        [(2 / 3) ** 0.5, (2 / 4) ** 0.5, (2 / 5) ** 0.5, (2 / 6) ** 0.5]
    )
