"""Likelihood of each source's best candidate."""

from typing import Literal

import torch

from goa.objectives.contract import Batch, Loss, given
from goa.settings import Settings


class BestOfNSettings(Settings):
    """Maximum likelihood on the best of the candidates."""

    kind: Literal["best_of_n"]


class BestOfN:
    """Reward-ranked fine-tuning, RAFT (Dong et al., 2023, algorithm 1).

    ``loss = -log p(y*)`` of the candidate y* with the highest reward. Weight: its tokens.

    Departures from the paper:

    1. The best of each source's K candidates, not the best share of all sources'.
    2. Of equally good candidates the first; a source whose candidates all earn the same is left
       out, since none of them was chosen for its quality.
    """

    needs_greedy = False

    def __init__(self, settings: BestOfNSettings) -> None:
        self.settings = settings

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch has no rewards.
        """
        rewards = given(batch.rewards, "rewards", "best_of_n")
        best, rows = rewards.argmax(dim=1), torch.arange(len(rewards), device=rewards.device)
        chosen = rewards.amax(dim=1) > rewards.amin(dim=1)
        log_probs = batch.log_probs.sum(dim=-1)[rows, best]
        num_tokens = batch.mask.sum(dim=-1)[rows, best]
        headroom = (rewards.amax(dim=1) - rewards.mean(dim=1)).sum()
        return Loss(
            sum=-(log_probs * chosen).sum(),
            weight=float((num_tokens * chosen).sum()),
            diagnostics={"headroom": (float(headroom), float(len(rewards)))},
        )
