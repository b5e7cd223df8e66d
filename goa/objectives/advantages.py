"""Advantages: how much better than expected what followed a token was."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from goa.objectives.contract import Batch, given

BaselineName = Literal["none", "greedy", "mean", "leave_one_out", "critic"]

Baseline = Callable[[Tensor, Batch], Tensor]
"""(returns [B, K, T or 1], batch) -> baseline that broadcasts to them."""


def returns_of(batch: Batch) -> Tensor:
    """Give what is earned from each token on, [B, K, T]; [B, K, 1] where all tokens share it.

    With credits it is the sum of a token's own and all later credits, 0 after the candidate's end;
    without, the whole reward for every token.

    Raises:
        ValueError: the batch has no rewards.
    """
    if batch.credits is None:
        return given(batch.rewards, "rewards", "an advantage").unsqueeze(-1)
    return batch.credits.flip(-1).cumsum(dim=-1).flip(-1)


def advantages_of(batch: Batch, baseline: BaselineName) -> Tensor:
    """Give each token's advantage without gradient, [B, K, T]; [B, K, 1] where all share it.

    Raises:
        ValueError: the batch lacks rewards, or what the baseline looks at.
    """
    with torch.no_grad():
        returns = returns_of(batch)
        return spread(returns - BASELINES[baseline](returns, batch), batch)


def spread(advantages: Tensor, batch: Batch) -> Tensor:
    """Give tokens their share of an advantage, where the batch says how large it is."""
    if batch.credit_weights is None:
        return advantages
    return advantages * batch.credit_weights


def _none(returns: Tensor, batch: Batch) -> Tensor:
    """Subtract nothing (Williams, 1992)."""
    del batch
    return returns.new_zeros(())


def _greedy(returns: Tensor, batch: Batch) -> Tensor:
    """Take the reward of the policy's own greedy output: self-critical (Rennie et al., 2017)."""
    return given(batch.greedy_rewards, "greedy rewards", "the greedy baseline")[:, None, None].to(
        returns
    )


def _mean(returns: Tensor, batch: Batch) -> Tensor:
    """Take the mean over a source's candidates, its own included.

    Not independent of the candidate: the expected gradient shrinks by (K - 1) / K, its direction
    stays.
    """
    del batch
    return returns.mean(dim=1, keepdim=True)


def _leave_one_out(returns: Tensor, batch: Batch) -> Tensor:
    """Take the mean over the source's other candidates (Kool et al., 2019): unbiased.

    Where returns differ from token to token, at the same place of the others: 0 past their end.
    """
    del batch
    others = returns.shape[1] - 1
    if others == 0:
        raise ValueError("the leave_one_out baseline needs at least 2 candidates per source")
    return (returns.sum(dim=1, keepdim=True) - returns) / others


def _critic(returns: Tensor, batch: Batch) -> Tensor:
    """Take what the critic expects at each token (Bahdanau et al., 2017): unbiased.

    It knows the source and the tokens before, not the token itself.
    """
    return given(batch.values, "the critic's values", "the critic baseline").to(returns)


BASELINES: dict[BaselineName, Baseline] = {
    "none": _none,
    "greedy": _greedy,
    "mean": _mean,
    "leave_one_out": _leave_one_out,
    "critic": _critic,
}
