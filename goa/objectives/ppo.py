"""Proximal policy optimisation."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from goa.objectives.advantages import returns_of, spread
from goa.objectives.clipping import ClippingSettings, clipped_gain
from goa.objectives.contract import Batch, Loss, Need, OverTokens, given


class PpoSettings(ClippingSettings):
    """Clipped policy gradient against a learned critic."""

    kind: Literal["ppo"]
    trace: float = Field(1.0, ge=0.0, le=1.0)
    """lambda of the generalised advantage (Schulman et al., 2016): 1 trusts what was earned, 0 what
    the critic expects one token later."""


class Ppo(OverTokens):
    """PPO (Schulman et al., 2017, eq. 7), advantages by Schulman et al. (2016, eq. 16).

    With the critic's values V, 0 past the end, and ``d_t = c_t + V_(t+1) - V_t``, where c_t is the
    token's credit (the whole reward at the last token, where it is not spread otherwise),
    ``A_t = sum_l lambda^l d_(t+l)`` and ``loss = -sum_t min(w_t A_t, clip(w_t) A_t)``. Weight:
    tokens.

    Departures from the papers:

    1. No discount: outputs are short, and their reward is for the whole.
    2. Values are the critic's at each step, not at the time of writing.
    3. Advantages are not standardised over the step: how a step is cut changes nothing.
    """

    needs: frozenset[Need] = frozenset({"critic", "draws"})

    def __init__(self, settings: PpoSettings) -> None:
        self.settings = settings

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates with rewards, values and their writer's log-probs.

        Raises:
            ValueError: the batch lacks one of these.
        """
        with torch.no_grad():
            advantages = spread(self._generalised(batch), batch).masked_fill(~batch.mask, 0.0)
        gain, clipped = clipped_gain(batch, advantages, self.settings)
        size = (float(advantages.abs().sum()), float(batch.mask.sum()))
        return Loss(sum=-gain.sum(), diagnostics={"advantage_size": size, "clipped_share": clipped})

    def _generalised(self, batch: Batch) -> Tensor:
        """Give the generalised advantages, [B, K, T]."""
        values = given(batch.values, "the critic's values", "ppo")
        returns = returns_of(batch).to(values).expand_as(values)
        # G_t = c_t + G_(t+1), so with U_t = G_t - V_t: d_t = U_t - U_(t+1), 0 past the end.
        surprise = (returns - values).masked_fill(~batch.mask, 0.0)
        later = torch.zeros_like(surprise[..., 0])
        advantages = torch.empty_like(surprise)
        for token in reversed(range(surprise.shape[-1])):
            ahead = surprise[..., token + 1] if token + 1 < surprise.shape[-1] else 0.0
            later = surprise[..., token] - ahead + self.settings.trace * later
            advantages[..., token] = later
        return advantages
