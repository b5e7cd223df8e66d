"""Likelihood of each source's best candidate."""

from typing import Literal

from torch import Tensor

from goa.objectives.contract import Batch, Loss, Plain, given
from goa.settings import Settings


class BestOfNSettings(Settings):
    """Maximum likelihood on the best of the candidates."""

    kind: Literal["best_of_n"]


class BestOfN(Plain):
    """Reward-ranked fine-tuning, RAFT (Dong et al., 2023, algorithm 1).

    ``loss = -log p(y*)`` of the candidate y* with the highest reward. Weight: its tokens.

    Departures from the paper:

    1. The best of each source's K candidates, not the best share of all sources'.
    2. Of equally good candidates the first; a source whose candidates all earn the same is left
       out, since none of them was chosen for its quality.
    """

    def __init__(self, settings: BestOfNSettings) -> None:
        del settings  # there is nothing to set

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count the tokens of the candidates that are learnt from."""
        best, chosen = _choose(given(rewards, "rewards", "best_of_n"))
        return float((mask.sum(dim=-1).gather(1, best).squeeze(1) * chosen).sum())

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch has no rewards.
        """
        rewards = given(batch.rewards, "rewards", "best_of_n")
        best, chosen = _choose(rewards)
        log_probs = batch.log_probs.sum(dim=-1).gather(1, best).squeeze(1)
        headroom = (rewards.amax(dim=1) - rewards.mean(dim=1)).sum()
        return Loss(
            sum=-(log_probs * chosen).sum(),
            diagnostics={"headroom": (float(headroom), float(len(rewards)))},
        )


def _choose(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Find each source's best candidate, [B, 1], and whether it is better than any other, [B]."""
    return rewards.argmax(dim=1, keepdim=True), rewards.amax(dim=1) > rewards.amin(dim=1)
