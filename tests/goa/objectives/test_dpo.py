"""Direct preference optimisation against its definition."""

import math

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.dpo import Dpo, DpoSettings
from tests.goa.objectives.conftest import World


def test_the_loss_is_that_of_its_definition(world: World) -> None:
    chosen = [5, 20, 33]
    log_probs = world.log_probs().detach()
    loss = Dpo(DpoSettings(kind="dpo", beta=0.7))(world.batch(log_probs, chosen))
    best = max(chosen, key=lambda output: float(world.rewards[output]))
    worst = min(chosen, key=lambda output: float(world.rewards[output]))
    moved = (log_probs - world.pretrained).sum(dim=-1)
    gap = float(moved[best] - moved[worst])
    assert float(loss.sum) == pytest.approx(math.log1p(math.exp(-0.7 * gap)), rel=1e-12)
    assert loss.diagnostics["agreement"] == (float(gap > 0), 1.0)


def test_where_the_policies_agree_the_gradient_pulls_best_and_worst_apart(world: World) -> None:
    world.pretrained = world.log_probs().detach()
    beta, chosen = 0.5, [5, 20, 33]
    loss = Dpo(DpoSettings(kind="dpo", beta=beta))(world.batch(world.log_probs(), chosen))
    best = max(chosen, key=lambda output: float(world.rewards[output]))
    worst = min(chosen, key=lambda output: float(world.rewards[output]))
    sums = world.log_probs().sum(dim=-1)
    # The derivative of -log sigmoid at 0 is -1/2.
    exact = world.gradient(-0.5 * beta * (sums[best] - sums[worst]))
    assert torch.allclose(world.gradient(loss.sum), exact, rtol=1e-9, atol=1e-12)


def test_a_source_without_a_preference_is_left_out(world: World) -> None:
    world.rewards[:] = 0.5
    batch = world.batch(world.log_probs().detach(), [5, 20, 33])
    objective = Dpo(DpoSettings(kind="dpo"))
    assert float(objective(batch).sum) == 0.0
    assert objective.weigh(batch.mask, batch.rewards) == 0.0


def test_of_several_sources_each_has_a_preference_of_its_own() -> None:
    log_probs = torch.tensor([[-1.0, -3.0], [-2.0, -1.0], [-4.0, -1.0]]).unsqueeze(-1)
    batch = Batch(
        mask=torch.ones(3, 2, 1, dtype=torch.bool),
        log_probs=log_probs,
        mean_log_probs=log_probs,
        pretrained_log_probs=torch.full((3, 2, 1), -2.0),
        # The likelier is preferred, the less likely is, and none is.
        rewards=torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]]),
    )
    objective = Dpo(DpoSettings(kind="dpo", beta=1.0))
    loss = objective(batch)
    expected = math.log1p(math.exp(-2.0)) + math.log1p(math.exp(1.0))
    assert float(loss.sum) == pytest.approx(expected, rel=1e-6)
    assert objective.weigh(batch.mask, batch.rewards) == 2.0
    assert loss.diagnostics == {"agreement": (1.0, 2.0)}
