"""The clipped surrogate of GRPO and PPO."""

import torch
from pydantic import Field
from torch import Tensor

from goa.objectives.contract import Batch, given
from goa.settings import Settings


class ClippingSettings(Settings):
    """How far a token's probability may move from what its writer gave it and still count."""

    clip_below: float = Field(0.2, gt=0.0, lt=1.0)
    """A token's probability ratio counts no further down than 1 less this."""
    clip_above: float = Field(0.2, gt=0.0)
    """A token's probability ratio counts no further up than 1 plus this."""


def clipped_gain(
    batch: Batch, advantages: Tensor, settings: ClippingSettings
) -> tuple[Tensor, tuple[float, float]]:
    """Give ``min(w A, clip(w, 1 - below, 1 + above) A)`` of each token, [B, K, T].

    ``w = p(y_t) / written(y_t)`` is the token's probability ratio (Schulman et al., 2017, eq. 7).

    Args:
        batch: comes with the log-probs of the candidates' writer.
        advantages: [B, K, T or 1] A, without gradient.
        settings: the bounds.

    Returns:
        The gain, 0 off the mask, and the diagnostic how many tokens' ratios were out of bounds.

    Raises:
        ValueError: the batch lacks the writer's log-probs.
    """
    written = given(batch.written_log_probs, "the writer's log-probs", "a probability ratio")
    ratio = (batch.log_probs - written).exp()
    clipped = ratio.clamp(1 - settings.clip_below, 1 + settings.clip_above)
    gain = torch.minimum(ratio * advantages, clipped * advantages)
    outside = float(((clipped != ratio) & batch.mask).sum())
    return gain.masked_fill(~batch.mask, 0.0), (outside, float(batch.mask.sum()))
