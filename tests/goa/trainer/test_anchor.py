"""The pretrained policy beside the one that is trained."""

from dataclasses import replace

import pytest
import torch

from goa.policies.policy import Policy
from goa.trainer.anchor import Anchor
from goa.trainer.settings import DivergenceSettings
from tests.goa.trainer.conftest import candidates


@pytest.mark.parametrize("tokens_per_pass", [1000, 30])
def test_it_adds_log_probs_of_the_policy_as_it_was(policy: Policy, tokens_per_pass: int) -> None:
    anchor, rollout = Anchor(policy, DivergenceSettings()), candidates(policy)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.1)
    found = anchor.attach(rollout, tokens_per_pass)
    assert rollout.log_probs is not None
    assert found.pretrained_log_probs is not None
    assert torch.allclose(found.pretrained_log_probs, rollout.log_probs, atol=1e-5)
    assert found.rewards is rollout.rewards


def test_it_takes_the_price_of_divergence_from_rewards(policy: Policy) -> None:
    anchor = Anchor(policy, DivergenceSettings(weight=0.1))
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.1)
    rollout = candidates(policy)
    found = anchor.attach(rollout, 1000)
    assert rollout.log_probs is not None
    assert rollout.rewards is not None
    assert found.pretrained_log_probs is not None
    assert found.rewards is not None
    price = 0.1 * (rollout.log_probs - found.pretrained_log_probs).sum(dim=-1)
    assert torch.allclose(found.rewards, rollout.rewards - price, atol=1e-6)
    assert float(price.abs().max()) > 1e-3
    assert anchor.weight_in_loss == 0.0


def test_with_credits_each_token_pays_its_own_price_and_what_was_given_costs_nothing(
    policy: Policy,
) -> None:
    anchor = Anchor(policy, DivergenceSettings(weight=0.1))
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.mul_(1.1)
    rollout = candidates(policy)
    given = rollout.mask & (torch.arange(rollout.mask.shape[-1]) < 2)
    earned = torch.rand(rollout.mask.shape).masked_fill(~rollout.mask, 0.0)
    rollout = replace(rollout, credits=earned, rewards=earned.sum(dim=-1), prefix_mask=given)
    found = anchor.attach(rollout, 1000)
    assert rollout.log_probs is not None
    assert found.pretrained_log_probs is not None
    assert found.credits is not None
    assert found.rewards is not None
    price = 0.1 * (rollout.log_probs - found.pretrained_log_probs).masked_fill(given, 0.0)
    assert torch.allclose(found.credits, earned - price, atol=1e-6)
    assert torch.allclose(found.rewards, found.credits.sum(dim=-1), atol=1e-5)


def test_in_the_loss_it_leaves_rewards_alone(policy: Policy) -> None:
    anchor = Anchor(policy, DivergenceSettings(weight=0.1, where="loss"))
    rollout = candidates(policy)
    assert anchor.attach(rollout, 1000).rewards is rollout.rewards
    assert anchor.weight_in_loss == 0.1


@pytest.mark.parametrize(
    ("kl", "factor"), [(4.0, 1.02), (2.2, 1.01), (2.0, 1.0), (1.9, 0.995), (0.0, 0.98)]
)
def test_the_weight_is_steered_towards_the_target(policy: Policy, kl: float, factor: float) -> None:
    anchor = Anchor(policy, DivergenceSettings(weight=0.5, target=2.0))
    anchor.steer(kl)
    assert anchor.weight == pytest.approx(0.5 * factor)


def test_without_a_target_the_weight_stays(policy: Policy) -> None:
    anchor = Anchor(policy, DivergenceSettings(weight=0.5))
    anchor.steer(10.0)
    assert anchor.weight == 0.5
