"""Margin losses over a source's candidates."""

from typing import Literal

from torch import Tensor

from goa.objectives.contract import Batch, Loss, OverSources, given
from goa.settings import Settings


class MarginSettings(Settings):
    """The best candidate is to be likelier than others, by as much as it is better."""

    kind: Literal["margin"]
    against: Literal["likeliest", "all"] = "all"
    """likeliest: the one candidate that the policy likes best (max-margin); all: every other
    candidate (multi-margin)."""
    length_average: bool = True
    """Compare mean log-probabilities of tokens, not their sums."""


class Margin(OverSources):
    """Max-margin and multi-margin (Edunov et al., 2018, eqs. 5 and 6).

    With the score ``s`` of a candidate (its mean or summed log-prob) and ``y*`` the candidate of
    highest reward, ``loss = max(0, r(y*) - r(y) - s(y*) + s(y))``, for the y of highest score, or
    summed over all. Weight: sources.

    Departures from the paper:

    1. The cost is 1 less the reward.
    2. Of candidates with equal rewards, or equal scores, the first is taken.
    """

    def __init__(self, settings: MarginSettings) -> None:
        self.settings = settings

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch has no rewards, or does not say which candidates are distinct.
        """
        rewards = given(batch.rewards, "rewards", "margin")
        distinct = given(batch.distinct_mask, "to know which candidates are distinct", "margin")
        scores = self._scores(batch)
        best = rewards.argmax(dim=1, keepdim=True)
        shortfall = rewards.gather(1, best) - rewards - scores.gather(1, best) + scores
        violations = shortfall.clamp(min=0.0).masked_fill(~distinct, 0.0)
        if self.settings.against == "likeliest":
            likeliest = scores.detach().argmax(dim=1, keepdim=True)
            violations = violations.gather(1, likeliest)
        count = float(len(rewards))
        violated = float((violations.detach() > 0).any(dim=1).sum())
        return Loss(sum=violations.sum(), diagnostics={"violated_share": (violated, count)})

    def _scores(self, batch: Batch) -> Tensor:
        """Score candidates, [B, K]."""
        scores = batch.log_probs.sum(dim=-1)
        if self.settings.length_average:
            scores = scores / batch.mask.sum(dim=-1).clamp(min=1)
        return scores
