"""Credit: how one reward reaches many tokens."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from goa.objectives.contract import Batch, Loss, given
from goa.objectives.head import Head, HeadSettings
from goa.randomness import torch_draws
from goa.settings import Settings


class UniformCreditSettings(Settings):
    """Every token of a candidate gets its whole advantage."""

    kind: Literal["uniform"]


class RewardToGoSettings(Settings):
    """A token gets what the evaluator gains from it on: shaping, as in Bahdanau et al. (2017)."""

    kind: Literal["reward_to_go"]


class AttentionCreditSettings(HeadSettings):
    """A small attention head that learns to predict the reward spreads the advantage."""

    kind: Literal["attention"]


CreditSettings = Annotated[
    UniformCreditSettings | RewardToGoSettings | AttentionCreditSettings,
    Field(discriminator="kind"),
]


class CreditHead(Head):
    """Learns to predict the reward from the states it attends to; its attention is the credit.

    With ``a = softmax_t(k . tanh(W s_t))`` over a candidate's tokens, the reward is predicted from
    ``sum_t a_t s_t``, ``loss = (prediction - r)^2``. Weight: candidates. Each token gets the share
    ``a_t`` of what its candidate has in advantages: ``T a_t``, 1 on average over its T tokens.

    A heuristic: token weights that depend on later tokens bias the policy gradient. (Attention as a
    way to redistribute a reward over steps: Hung et al., 2019; Arjona-Medina et al., 2019.)
    """

    def __init__(self, settings: HeadSettings, state_size: int, seed: int) -> None:
        with torch_draws(seed, "credit"):
            hidden = nn.Linear(state_size, state_size)
            key = nn.Linear(state_size, 1, bias=False)
            self._predict = nn.Linear(state_size, 1)
        # Attention starts even, so that learning starts from uniform credit.
        nn.init.zeros_(key.weight)
        self._attend = nn.Sequential(hidden, nn.Tanh(), key)
        super().__init__(settings, nn.ModuleList([self._attend, self._predict]))

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count candidates."""
        del rewards
        return float(mask.shape[0] * mask.shape[1])

    def fill(self, batch: Batch) -> Batch:
        """Add the weights of credit, [B, K, T]."""
        with torch.no_grad():
            lengths = batch.mask.sum(dim=-1, keepdim=True)
            shares = self._attention(self.states(batch), batch.mask) * lengths
            return replace(batch, credit_weights=shares)

    def __call__(self, batch: Batch) -> Loss:
        """Sum the squared errors over the candidates.

        Raises:
            ValueError: the batch lacks rewards or states.
        """
        rewards = given(batch.rewards, "rewards", "the credit head")
        states = self.states(batch)
        attention = self._attention(states, batch.mask)
        pooled = (attention.unsqueeze(-1) * states).sum(dim=-2)
        errors = (self._predict(pooled).squeeze(-1) - rewards.to(states)).square()
        error = (float(errors.detach().sum()), float(rewards.numel()))
        # How many tokens the attention amounts to, of all there are: 1 where it is even.
        effective = 1 / (attention.detach().square().sum(dim=-1) * batch.mask.sum(dim=-1))
        even = (float(effective.sum()), float(rewards.numel()))
        return Loss(sum=errors.sum(), diagnostics={"credit_error": error, "credit_evenness": even})

    def _attention(self, states: Tensor, mask: Tensor) -> Tensor:
        """Give the attention, [B, K, T], which sums to 1 over each candidate's tokens."""
        scores = self._attend(states).squeeze(-1)
        attention: Tensor = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        return attention
