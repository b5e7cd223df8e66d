"""Minimum risk against the exact expected reward, and against its definition."""

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.mrt import Mrt, MrtSettings
from tests.goa.objectives.conftest import World


def test_over_all_outputs_it_is_the_expected_reward_itself(world: World) -> None:
    objective = Mrt(MrtSettings(kind="mrt", alpha=1.0))
    loss = objective(world.batch(world.log_probs(), range(len(world.tokens))))
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    assert torch.allclose(-world.gradient(loss.sum), exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.005, 0.3, 2.0])
def test_the_loss_is_the_risk_of_its_definition(world: World, alpha: float) -> None:
    chosen = [2, 7, 11, 30]
    log_probs = world.log_probs().detach()
    loss = Mrt(MrtSettings(kind="mrt", alpha=alpha))(world.batch(log_probs, chosen))
    powers = [float(log_probs[output].sum().exp()) ** alpha for output in chosen]
    risks = [1 - float(world.rewards[output]) for output in chosen]
    expected = sum(power * risk for power, risk in zip(powers, risks, strict=True)) / sum(powers)
    assert float(loss.sum) == pytest.approx(expected, rel=1e-12)


def test_a_candidate_drawn_twice_counts_once(world: World) -> None:
    objective = Mrt(MrtSettings(kind="mrt", alpha=0.5))
    log_probs = world.log_probs().detach()
    once = objective(world.batch(log_probs, [3, 8]))
    twice = objective(world.batch(log_probs, [3, 8, 3, 3]))
    assert float(twice.sum) == pytest.approx(float(once.sum), rel=1e-12)


def test_how_much_the_likeliest_has_is_told_source_by_source() -> None:
    log_probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]]).log().unsqueeze(-1)
    batch = Batch(
        mask=torch.ones(3, 2, 1, dtype=torch.bool),
        log_probs=log_probs,
        mean_log_probs=log_probs,
        distinct_mask=torch.tensor([[True, True], [True, False], [True, True]]),
        rewards=torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.5]]),
    )
    objective = Mrt(MrtSettings(kind="mrt", alpha=1.0))
    loss = objective(batch)
    assert float(loss.sum) == pytest.approx(0.25 + 0.5 + (0.1 + 0.45), rel=1e-6)
    share = pytest.approx(0.75 + 1.0 + 0.9, rel=1e-6)
    assert loss.diagnostics == {"likeliest_share": (share, 3.0)}
    assert objective.weigh(batch.mask, batch.rewards) == 3.0
