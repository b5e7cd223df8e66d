"""Group-relative policy optimisation."""

from typing import Literal

from torch import Tensor

from goa.objectives.advantages import advantages_of
from goa.objectives.clipping import ClippingSettings, clipped_gain
from goa.objectives.contract import Batch, Loss, Need, Plain, given

LENGTHS = Literal["candidate", "token", "none"]


class GrpoSettings(ClippingSettings):
    """Clipped policy gradient on rewards relative to the source's other candidates."""

    kind: Literal["grpo"]
    divide_by_spread: bool = True
    """Divide advantages by the standard deviation of the source's rewards (Shao et al., 2024);
    without, sources whose candidates hardly differ are not blown up (Liu et al., 2025)."""
    length_average: LENGTHS = "candidate"
    """candidate: mean over each candidate's tokens, as in Shao et al. (2024); token: mean over all
    tokens of the step; none: sum over tokens, mean over candidates, as in Liu et al. (2025)."""


class Grpo(Plain):
    """GRPO (Shao et al., 2024, eq. 3; "Dr. GRPO" of Liu et al., 2025, with both averages off).

    With ``A = r - mean_K r`` (over the spread where told) and each token's probability ratio
    ``w_t = p(y_t) / written(y_t)``, ``loss = -sum_y avg_t min(w_t A, clip(w_t, 1 - below,
    1 + above) A)``. Weight: candidates; tokens with ``length_average: token``.

    Departures from the papers:

    1. The spread is that of a population (divided by K) plus 1e-6; a source whose candidates all
       earn the same has advantage 0, not 0 / 0.
    2. ``length_average: none`` divides by the number of candidates, where Liu et al. divide by a
       constant length besides: the learning rate takes its place.
    3. The divergence is priced outside, in the same way for every objective.
    """

    needs: frozenset[Need] = frozenset({"draws"})

    def __init__(self, settings: GrpoSettings) -> None:
        self.settings = settings

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count candidates, or tokens where the mean is over all of them."""
        del rewards
        by_token = self.settings.length_average == "token"
        return float(mask.sum()) if by_token else float(mask.shape[0] * mask.shape[1])

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards and the log-probs of their writer.

        Raises:
            ValueError: the batch lacks one of these.
        """
        advantages = self._advantages(batch)
        gain, clipped = clipped_gain(batch, advantages, self.settings)
        if self.settings.length_average == "candidate":
            gain = gain / batch.mask.sum(dim=-1, keepdim=True).clamp(min=1)
        sizes = advantages.abs().expand_as(gain).masked_fill(~batch.mask, 0.0)
        return Loss(
            sum=-gain.sum(),
            diagnostics={
                "advantage_size": (float(sizes.sum()), float(batch.mask.sum())),
                "clipped_share": clipped,
            },
        )

    def _advantages(self, batch: Batch) -> Tensor:
        """Give the advantages over the source's other candidates, [B, K, T or 1]."""
        advantages = advantages_of(batch, "mean")
        if self.settings.divide_by_spread:
            rewards = given(batch.rewards, "rewards", "grpo")
            deviation = rewards.std(dim=1, correction=0, keepdim=True) + 1e-6
            advantages = advantages / deviation.unsqueeze(-1)
        return advantages
