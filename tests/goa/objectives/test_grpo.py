"""GRPO against its definition, and against the policy gradient where the two meet."""

import math

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch
from goa.objectives.grpo import LENGTHS, Grpo, GrpoSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from tests.goa.objectives.conftest import World


def test_on_fresh_candidates_without_averages_it_is_the_policy_gradient(world: World) -> None:
    settings = GrpoSettings(kind="grpo", divide_by_spread=False, length_average="none")
    objectives = Grpo(settings), Reinforce(ReinforceSettings(kind="reinforce", baseline="mean"))
    found, expected = (_gradient_of(objective, world) for objective in objectives)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)


def _gradient_of(objective: Grpo | Reinforce, world: World) -> Tensor:
    log_probs, chosen = world.log_probs(), [1, 4, 9]
    fresh = log_probs.detach()[None, chosen]
    batch = world.batch(log_probs, chosen, written_log_probs=fresh)
    return world.gradient(objective(batch).sum / objective.weigh(batch.mask, batch.rewards))


@pytest.mark.parametrize("divide_by_spread", [True, False])
@pytest.mark.parametrize("length_average", ["candidate", "token", "none"])
def test_the_loss_is_the_sum_of_its_definition(
    divide_by_spread: bool, length_average: LENGTHS
) -> None:
    settings = GrpoSettings(
        kind="grpo",
        divide_by_spread=divide_by_spread,
        length_average=length_average,
        clip_below=0.2,
        clip_above=0.3,
    )
    batch = _random_batch()
    assert batch.rewards is not None
    assert batch.written_log_probs is not None
    expected, num_tokens, size = 0.0, 0, 0.0
    for source in range(2):
        rewards = batch.rewards[source].tolist()
        mean = sum(rewards) / 3
        spread = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / 3) + 1e-6
        for row in range(3):
            advantage = (rewards[row] - mean) / (spread if divide_by_spread else 1.0)
            length = int(batch.mask[source, row].sum())
            num_tokens += length
            size += length * abs(advantage)
            for place in range(length):
                now = float(batch.log_probs[source, row, place])
                ratio = math.exp(now - float(batch.written_log_probs[source, row, place]))
                gain = min(ratio * advantage, min(max(ratio, 0.8), 1.3) * advantage)
                expected -= gain / (length if length_average == "candidate" else 1)
    objective = Grpo(settings)
    loss, weight = objective(batch), objective.weigh(batch.mask, batch.rewards)
    assert float(loss.sum) == pytest.approx(expected, rel=1e-12)
    assert weight == (num_tokens if length_average == "token" else 6)
    assert loss.diagnostics["advantage_size"] == (pytest.approx(size, rel=1e-12), num_tokens)
    assert 0 < loss.diagnostics["clipped_share"][0] < loss.diagnostics["clipped_share"][1]


def test_a_source_whose_candidates_earn_the_same_moves_nothing() -> None:
    batch = _random_batch()
    silent = Batch(
        mask=batch.mask,
        log_probs=batch.log_probs.requires_grad_(),
        mean_log_probs=batch.log_probs,
        written_log_probs=batch.written_log_probs,
        rewards=torch.full((2, 3), 0.7, dtype=torch.float64),
    )
    loss = Grpo(GrpoSettings(kind="grpo"))(silent)
    torch.autograd.backward(loss.sum)
    assert silent.log_probs.grad is not None
    assert float(silent.log_probs.grad.abs().max()) == pytest.approx(0.0, abs=1e-9)


def _random_batch() -> Batch:
    """Two sources with three candidates of one to four tokens."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.arange(4) < torch.tensor([[4, 1, 3], [2, 4, 2]]).unsqueeze(-1)
    now, written = -torch.rand(2, 2, 3, 4, generator=generator, dtype=torch.float64)
    return Batch(
        mask=mask,
        log_probs=now.masked_fill(~mask, 0.0),
        mean_log_probs=now,
        written_log_probs=written.masked_fill(~mask, 0.0),
        rewards=torch.rand(2, 3, generator=generator, dtype=torch.float64),
    )
