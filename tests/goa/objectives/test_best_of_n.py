"""Likelihood of the best candidate."""

import pytest
import torch

from goa.objectives.best_of_n import BestOfN, BestOfNSettings
from goa.objectives.contract import Batch
from tests.goa.objectives.conftest import World

OBJECTIVE = BestOfN(BestOfNSettings(kind="best_of_n"))


def test_it_is_the_likelihood_of_the_best_candidate(world: World) -> None:
    chosen = [5, 20, 33]
    best = max(chosen, key=lambda output: float(world.rewards[output]))
    log_probs = world.log_probs().detach()
    batch = world.batch(log_probs, chosen)
    loss = OBJECTIVE(batch)
    assert float(loss.sum) == pytest.approx(-float(log_probs[best].sum()), rel=1e-12)
    assert OBJECTIVE.weigh(batch.mask, batch.rewards) == float(world.mask[best].sum())


def test_a_source_without_a_best_candidate_is_left_out(world: World) -> None:
    world.rewards[:] = 0.5
    batch = world.batch(world.log_probs().detach(), [5, 20, 33])
    assert float(OBJECTIVE(batch).sum) == 0.0
    assert OBJECTIVE.weigh(batch.mask, batch.rewards) == 0.0


def test_of_several_sources_each_has_a_best_candidate_of_its_own() -> None:
    mask = torch.arange(3) < torch.tensor([[3, 1], [1, 2], [2, 3]]).unsqueeze(-1)
    log_probs = -torch.arange(1.0, 19.0).reshape(3, 2, 3).masked_fill(~mask, 0.0)
    batch = Batch(
        mask=mask,
        log_probs=log_probs,
        mean_log_probs=log_probs,
        # The first is best, the second is best, and none is.
        rewards=torch.tensor([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5]]),
    )
    loss = OBJECTIVE(batch)
    assert float(loss.sum) == (1 + 2 + 3) + (10 + 11)
    assert OBJECTIVE.weigh(batch.mask, batch.rewards) == 3 + 2
    assert loss.diagnostics == {"headroom": (0.25 + 0.375 + 0.0, 3.0)}
