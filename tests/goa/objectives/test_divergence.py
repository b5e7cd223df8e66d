"""The estimate of the divergence from the pretrained policy."""

import pytest

from goa.objectives.divergence import kl_estimate
from tests.goa.objectives.conftest import World


def test_it_is_exactly_zero_where_the_policies_agree(world: World) -> None:
    log_probs = world.log_probs().detach()
    assert float(kl_estimate(log_probs[None], log_probs.clone()[None]).abs().max()) == 0.0


def test_it_is_the_divergence_on_average(world: World) -> None:
    log_probs = world.log_probs().detach()
    probs = log_probs.sum(dim=-1).exp()
    estimates = kl_estimate(log_probs[None], world.pretrained[None])[0]
    exact = float((probs * (log_probs - world.pretrained).sum(dim=-1)).sum())
    assert float((probs * estimates).sum()) == pytest.approx(exact, rel=1e-9)
    assert exact > 1e-4
    assert float(estimates.min()) >= 0.0
