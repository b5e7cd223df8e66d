"""Policy gradient."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from goa.objectives.advantages import BaselineName, advantages_of
from goa.objectives.contract import Batch, Loss, Need, OverCandidates
from goa.settings import Settings


class PolicyGradientSettings(Settings):
    """What every plain policy gradient has."""

    baseline: BaselineName = "leave_one_out"
    """What a reward is compared with: nothing, the greedy output's, the mean of the source's
    candidates or of its other candidates, or what a critic expects."""
    max_importance_ratio: float = Field(5.0, gt=1.0)
    """Bound on the weight of candidates that an earlier policy wrote."""


class ReinforceSettings(PolicyGradientSettings):
    """Policy gradient on the evaluator's reward."""

    kind: Literal["reinforce"]


class Reinforce(OverCandidates):
    """REINFORCE (Williams, 1992, eq. 11) on whole candidates y of source x.

    ``loss = -sum_y w(y) (r(y) - b) log p(y | x)``, weight: candidates. Its gradient over its weight
    is an unbiased estimate of minus the gradient of the expected reward where the candidates were
    drawn from the policy and the baseline b does not depend on y.

    Departures from the paper:

    1. Several candidates per source; the baseline may come from the others (``BASELINES``).
    2. ``w = min(p(y | x) / written(y | x), max_importance_ratio)``, without gradient, corrects for
       candidates written by an earlier policy: the pool, or this round before an update. It is 1
       for fresh ones. Draws from a tempered or truncated distribution are not corrected for.
    """

    def __init__(self, settings: PolicyGradientSettings) -> None:
        self.settings = settings
        self.needs: frozenset[Need] = frozenset({"draws"})
        if settings.baseline in {"greedy", "critic"}:
            self.needs |= {settings.baseline}

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch has no rewards, or lacks what the settings need.
        """
        advantages = advantages_of(batch, self.settings.baseline)
        weights = self._importance(batch)
        loss = -(weights.unsqueeze(-1) * advantages * batch.log_probs).sum()
        sizes = advantages.abs().expand_as(batch.log_probs).masked_fill(~batch.mask, 0.0)
        return Loss(
            sum=loss,
            diagnostics={
                "advantage_size": (float(sizes.sum()), float(batch.mask.sum())),
                "importance_ratio": (float(weights.sum()), float(weights.numel())),
            },
        )

    @torch.no_grad()
    def _importance(self, batch: Batch) -> Tensor:
        """Weigh each candidate by how likely it has become, [B, K]."""
        log_probs = batch.log_probs.sum(dim=-1)
        if batch.written_log_probs is None:
            return torch.ones_like(log_probs)
        ratio = (log_probs - batch.written_log_probs.sum(dim=-1)).exp()
        return ratio.clamp(max=self.settings.max_importance_ratio)
