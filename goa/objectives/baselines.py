"""Baselines: what is subtracted from a reward to make an advantage."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

BaselineName = Literal["none", "greedy", "mean", "leave_one_out"]

Baseline = Callable[[Tensor, Tensor | None], Tensor]
"""(rewards [B, K], greedy rewards [B] or None) -> baseline that broadcasts to [B, K]."""


def _none(rewards: Tensor, greedy_rewards: Tensor | None) -> Tensor:
    """Subtract nothing (Williams, 1992)."""
    del greedy_rewards
    return rewards.new_zeros(())


def _greedy(rewards: Tensor, greedy_rewards: Tensor | None) -> Tensor:
    """Take the reward of the policy's own greedy output: self-critical (Rennie et al., 2017)."""
    if greedy_rewards is None:
        raise ValueError("the greedy baseline needs greedy rewards")
    return greedy_rewards.unsqueeze(1).to(rewards)


def _mean(rewards: Tensor, greedy_rewards: Tensor | None) -> Tensor:
    """Take the mean over a source's candidates, its own included.

    Not independent of the candidate: the expected gradient shrinks by (K - 1) / K, its direction
    stays.
    """
    del greedy_rewards
    return rewards.mean(dim=1, keepdim=True)


def _leave_one_out(rewards: Tensor, greedy_rewards: Tensor | None) -> Tensor:
    """Take the mean over the source's other candidates (Kool et al., 2019): unbiased."""
    del greedy_rewards
    others = rewards.shape[1] - 1
    if others == 0:
        raise ValueError("the leave_one_out baseline needs at least 2 candidates per source")
    return (rewards.sum(dim=1, keepdim=True) - rewards) / others


BASELINES: dict[BaselineName, Baseline] = {
    "none": _none,
    "greedy": _greedy,
    "mean": _mean,
    "leave_one_out": _leave_one_out,
}
