"""Minimum risk training."""

from typing import Literal

import torch
from pydantic import Field

from goa.objectives.contract import Batch, Loss, OverSources, given
from goa.settings import Settings


class MrtSettings(Settings):
    """Expected reward under the policy, renormalised over a source's candidates."""

    kind: Literal["mrt"]
    alpha: float = Field(0.005, gt=0.0, le=10.0)
    """Sharpness: 1 keeps the policy's own proportions, towards 0 all candidates weigh alike."""


class Mrt(OverSources):
    """Minimum risk (Shen et al., 2016, eqs. 8-10; "Risk" of Edunov et al., 2018, eq. 4).

    Over the distinct candidates of a source, ``q(y) = p(y)^alpha / sum_z p(z)^alpha`` and
    ``loss = sum_y q(y) (1 - r(y))``. Weight: sources.

    Departures from the papers:

    1. The risk is 1 less the reward, whatever the evaluator.
    2. Candidates are those of the rollout; the reference is among them only where the rollout put
       it there.
    """

    def __init__(self, settings: MrtSettings) -> None:
        self.settings = settings

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch has no rewards, or does not say which candidates are distinct.
        """
        rewards = given(batch.rewards, "rewards", "mrt")
        distinct = given(batch.distinct_mask, "to know which candidates are distinct", "mrt")
        log_probs = batch.log_probs.sum(dim=-1)
        scaled = (self.settings.alpha * log_probs).masked_fill(~distinct, -torch.inf)
        proportions = scaled.softmax(dim=-1)
        risk = (proportions * (1 - rewards)).sum()
        count = float(len(rewards))
        likeliest = float(proportions.detach().amax(dim=-1).sum())
        return Loss(sum=risk, diagnostics={"likeliest_share": (likeliest, count)})
