"""The estimate of the divergence from the pretrained policy."""

import pytest
import torch

from goa.objectives.divergence import Divergence, kl_estimate, prices
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


def test_as_a_loss_its_gradient_is_zero_at_the_pretrained_policy(world: World) -> None:
    objective = Divergence()
    everything = range(len(world.tokens))
    away = world.gradient(objective(world.batch(world.log_probs(), everything)).sum)
    world.pretrained = world.log_probs().detach()
    there = world.gradient(objective(world.batch(world.log_probs(), everything)).sum)
    assert float(there.abs().max()) == 0.0
    assert float(away.norm()) > 1e-3


def test_as_a_loss_it_is_the_estimate_summed_over_candidates(world: World) -> None:
    log_probs, chosen = world.log_probs().detach(), [2, 8, 19]
    batch = world.batch(log_probs, chosen)
    expected = kl_estimate(log_probs[None, chosen], world.pretrained[None, chosen]).sum()
    assert float(Divergence()(batch).sum) == pytest.approx(float(expected), rel=1e-12)
    assert Divergence().weigh(batch.mask, batch.rewards) == 3.0


def test_each_nat_of_a_token_has_its_price() -> None:
    written = torch.tensor([[[-1.0, -0.5], [-2.0, 0.0]]])
    pretrained = torch.tensor([[[-2.0, -1.0], [-1.5, 0.0]]])
    found = prices(written, pretrained, 0.1)
    assert torch.allclose(found, torch.tensor([[[0.1, 0.05], [-0.05, 0.0]]]), atol=1e-7)
