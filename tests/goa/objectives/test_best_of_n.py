"""Likelihood of the best candidate."""

import pytest

from goa.objectives.best_of_n import BestOfN, BestOfNSettings
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
