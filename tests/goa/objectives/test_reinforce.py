"""The policy gradient against the exact gradient, where every sequence can be enumerated."""

import itertools

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch
from goa.objectives.divergence import prices
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from tests.goa.objectives.conftest import World

BASELINES = ["none", "greedy", "mean", "leave_one_out", "critic"]


def _expected_loss(
    world: World, objective: Reinforce, log_probs: Tensor, credits: Tensor | None = None
) -> Tensor:
    """The loss of K = 2 candidates averaged over all pairs, weighted by their probability.

    A critic says anything at all, as long as it follows from the tokens before.
    """
    values = world.by_prefix(7, with_token=False)
    probs = log_probs.sum(dim=-1).detach().exp()
    total = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(range(len(world.tokens)), repeat=2):
        chosen = list(pair)
        known = {"values": values[chosen][None]}
        if credits is not None:
            known["credits"] = credits[chosen][None]
        batch = world.batch(log_probs, pair, **known)
        loss = objective(batch).sum / objective.weigh(batch.mask, batch.rewards)
        total = total + probs[pair[0]] * probs[pair[1]] * loss
    return total


def test_the_enumerated_outputs_are_all_there_are(world: World) -> None:
    assert float(world.log_probs().detach().sum(dim=-1).exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_expected_gradient_is_that_of_the_expected_reward(world: World, baseline: str) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    estimated = world.gradient(_expected_loss(world, objective, world.log_probs()))
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    shrink = 0.5 if baseline == "mean" else 1.0  # (K - 1) / K: the baseline contains the candidate
    assert torch.allclose(-estimated, shrink * exact, rtol=1e-9, atol=1e-12)
    assert float(exact.norm()) > 1e-3


@pytest.mark.parametrize("baseline", ["none", "mean", "leave_one_out", "critic"])
def test_with_rewards_to_go_it_is_that_of_the_expected_reward_too(
    world: World, baseline: str
) -> None:
    credits = world.by_prefix(9, with_token=True)
    world.rewards = credits.sum(dim=-1)
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    log_probs = world.log_probs()
    estimated = world.gradient(_expected_loss(world, objective, log_probs, credits))
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    shrink = 0.5 if baseline == "mean" else 1.0
    assert torch.allclose(-estimated, shrink * exact, rtol=1e-9, atol=1e-12)
    whole = world.gradient(_expected_loss(world, objective, world.log_probs()))
    assert torch.allclose(estimated, whole, rtol=1e-9, atol=1e-12)


def test_of_penalised_rewards_it_is_that_of_the_reward_less_the_divergence(world: World) -> None:
    price = 0.2
    log_probs = world.log_probs().sum(dim=-1)
    divergence = (log_probs.exp() * (log_probs - world.pretrained.sum(dim=-1))).sum()
    exact = world.gradient((log_probs.exp() * world.rewards).sum() - price * divergence)
    written = world.log_probs().detach()
    world.rewards = world.rewards - prices(written, world.pretrained, price).sum(dim=-1)
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    estimated = world.gradient(_expected_loss(world, objective, world.log_probs()))
    assert torch.allclose(-estimated, exact, rtol=1e-9, atol=1e-12)


def test_candidates_of_another_policy_are_weighted_by_the_ratio(world: World) -> None:
    objective = Reinforce(
        ReinforceSettings(kind="reinforce", baseline="none", max_importance_ratio=1e6)
    )
    log_probs = world.log_probs()
    written = world.pretrained
    total = torch.zeros((), dtype=torch.float64)
    for index, prob in enumerate(written.sum(dim=-1).exp()):
        batch = world.batch(log_probs, [index], written_log_probs=written[index][None, None])
        total = total + prob * objective(batch).sum
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    assert torch.allclose(-world.gradient(total), exact, rtol=1e-9, atol=1e-12)


def test_each_candidate_has_the_ratio_of_its_own_log_probs() -> None:
    written = torch.tensor([[[-1.0, -2.0], [-3.0, -1.0]]], dtype=torch.float64)
    ratios = torch.tensor([[2.0, 0.25]], dtype=torch.float64)
    now = written + ratios.log().unsqueeze(-1) / 2
    batch = Batch(
        mask=torch.ones(1, 2, 2, dtype=torch.bool),
        log_probs=now,
        mean_log_probs=now,
        written_log_probs=written,
        rewards=torch.tensor([[0.5, 1.0]], dtype=torch.float64),
    )
    loss = Reinforce(ReinforceSettings(kind="reinforce", baseline="none"))(batch)
    expected = -(2.0 * 0.5 * now[0, 0].sum() + 0.25 * 1.0 * now[0, 1].sum())
    assert float(loss.sum) == pytest.approx(float(expected), rel=1e-12)
    assert loss.diagnostics["importance_ratio"] == (pytest.approx(2.25), 2.0)


def test_the_ratio_is_bounded(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", max_importance_ratio=2.0))
    log_probs = world.log_probs()
    written = (log_probs.detach() - 3.0)[None, :2]
    loss = objective(world.batch(log_probs, [0, 1], written_log_probs=written))
    assert loss.diagnostics["importance_ratio"] == (4.0, 2.0)


@pytest.mark.parametrize("baseline", ["greedy", "mean", "leave_one_out"])
def test_rewards_that_are_all_shifted_alike_change_nothing(world: World, baseline: str) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    log_probs = world.log_probs()
    batch = world.batch(log_probs, [3, 8, 11])
    assert batch.rewards is not None
    assert batch.greedy_rewards is not None
    shifted = Batch(
        mask=batch.mask,
        log_probs=batch.log_probs,
        mean_log_probs=batch.mean_log_probs,
        rewards=batch.rewards + 0.25,
        greedy_rewards=batch.greedy_rewards + 0.25,
    )
    assert objective(shifted).sum.item() == pytest.approx(objective(batch).sum.item(), abs=1e-9)


def test_leave_one_out_needs_a_second_candidate(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    with pytest.raises(ValueError, match="at least 2 candidates"):
        objective(world.batch(world.log_probs(), [1]))


def test_a_hand_worked_loss_of_candidates_of_unequal_length() -> None:
    mask = torch.arange(3) < torch.tensor([[3, 1], [1, 2]]).unsqueeze(-1)
    log_probs = torch.tensor([[[-1.0] * 3, [-4.0] * 3], [[-2.0] * 3, [-3.0] * 3]])
    log_probs = log_probs.masked_fill(~mask, 0.0)
    batch = Batch(
        mask=mask,
        log_probs=log_probs,
        mean_log_probs=log_probs,
        rewards=torch.tensor([[0.75, 0.25], [0.0, 0.25]]),
    )
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    loss = objective(batch)
    # Less the other's reward: 0.5, -0.5; -0.25, 0.25.
    assert float(loss.sum) == 0.5 * 3 - 0.5 * 4 - 0.25 * 2 + 0.25 * 6
    assert loss.diagnostics == {
        "advantage_size": (0.5 * 3 + 0.5 + 0.25 + 0.25 * 2, 7.0),
        "importance_ratio": (4.0, 4.0),
    }
    assert objective.weigh(batch.mask, batch.rewards) == 4.0


@pytest.mark.parametrize("baseline", BASELINES)
def test_it_asks_for_what_its_baseline_looks_at(baseline: str) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    assert objective.needs == {"draws"} | ({baseline} & {"greedy", "critic"})
