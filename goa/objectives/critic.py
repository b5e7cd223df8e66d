"""A critic: what is still to be earned, learnt from what was."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from goa.objectives.advantages import returns_of
from goa.objectives.contract import Batch, Loss
from goa.objectives.head import Head, HeadSettings
from goa.randomness import torch_draws


class Critic(Head):
    """Learns what will be earned from each token on (Bahdanau et al., 2017, section 3).

    ``loss = sum_t (V(s_t) - G_t)^2``, where s_t is the decoder's state before token t and G_t what
    is earned from t on. Weight: tokens.

    Departures from the paper:

    1. No network of its own: two layers over the policy's states, which it does not train.
    2. Learns from the sampled return, without a target network: outputs are short.
    """

    def __init__(self, settings: HeadSettings, state_size: int, seed: int) -> None:
        with torch_draws(seed, "critic"):
            hidden, value = nn.Linear(state_size, state_size), nn.Linear(state_size, 1)
        nn.init.zeros_(value.weight)
        nn.init.zeros_(value.bias)
        super().__init__(settings, nn.Sequential(hidden, nn.Tanh(), value))

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count tokens."""
        del rewards
        return float(mask.sum())

    def fill(self, batch: Batch) -> Batch:
        """Add the values, [B, K, T]."""
        with torch.no_grad():
            return replace(batch, values=self._values(batch))

    def __call__(self, batch: Batch) -> Loss:
        """Sum the squared errors over the tokens.

        Raises:
            ValueError: the batch lacks rewards or states.
        """
        values = self._values(batch)
        errors = (values - returns_of(batch).to(values)).masked_fill(~batch.mask, 0.0).square()
        found = (float(errors.detach().sum()), float(batch.mask.sum()))
        return Loss(sum=errors.sum(), diagnostics={"value_error": found})

    def _values(self, batch: Batch) -> Tensor:
        values: Tensor = self.network(self.states(batch)).squeeze(-1)
        return values
