"""What candidates are paid in control arms, in the place of what they earned."""

from dataclasses import replace

import torch
from torch import Tensor

from goa.arms import Control
from goa.randomness import generator
from goa.rollouts.rollout import Rollout


def pay(rollout: Rollout, control: Control, seed: int, index: int) -> Rollout:
    """Give the candidates of a round what they are to earn in a control arm.

    constant: 1 each, as in Choshen et al. (2020, section 4). shuffled: the round's rewards,
    permuted among all its candidates [B, K]. What the evaluator said stays in the diagnostics.

    Args:
        rollout: one round, with rewards.
        control: how it is paid.
        seed: of the permutations.
        index: the round.
    """
    rewards = rollout.rewards
    assert rewards is not None
    if control == "constant":
        return replace(rollout, rewards=torch.ones_like(rewards))
    return replace(rollout, rewards=shuffled(rewards, seed, index))


def shuffled(rewards: Tensor, seed: int, index: int) -> Tensor:
    """Permute the rewards of a round, of any shape, by its index."""
    order = generator(seed, "shuffled", index).permutation(rewards.numel())
    return rewards.flatten()[torch.from_numpy(order)].view_as(rewards)
