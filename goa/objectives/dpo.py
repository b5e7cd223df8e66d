"""Direct preference optimisation."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from goa.objectives.contract import Batch, Loss, Plain, given
from goa.settings import Settings


class DpoSettings(Settings):
    """The best candidate preferred to the worst."""

    kind: Literal["dpo"]
    beta: float = Field(0.1, gt=0.0, le=100.0)
    """How strongly the pretrained policy holds back: the weight of the divergence in the reward
    that the preferences are taken to come from."""


class Dpo(Plain):
    """DPO (Rafailov et al., 2023, eq. 7).

    With ``d(y) = log p(y) - log pretrained(y)``, ``loss = -log sigmoid(beta (d(y+) - d(y-)))`` for
    the candidates y+ of highest and y- of lowest reward. Weight: sources with a preference.

    Departures from the paper:

    1. Preferences are the evaluator's, between the best and the worst of K candidates.
    2. A source whose candidates all earn the same has no preference and is left out.
    """

    def __init__(self, settings: DpoSettings) -> None:
        self.settings = settings

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count the sources whose candidates differ in reward."""
        del mask
        return float(_preferring(given(rewards, "rewards", "dpo")).sum())

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards.

        Raises:
            ValueError: the batch lacks rewards or the pretrained policy's log-probs.
        """
        rewards = given(batch.rewards, "rewards", "dpo")
        pretrained = given(batch.pretrained_log_probs, "the pretrained policy's log-probs", "dpo")
        moved = (batch.log_probs - pretrained).sum(dim=-1)
        rows = torch.arange(len(rewards), device=rewards.device)
        gap = moved[rows, rewards.argmax(dim=1)] - moved[rows, rewards.argmin(dim=1)]
        preferring = _preferring(rewards)
        agreeing = float((gap.detach() > 0).sum())
        return Loss(
            sum=-(logsigmoid(self.settings.beta * gap) * preferring).sum(),
            diagnostics={"agreement": (agreeing, float(preferring.sum()))},
        )


def _preferring(rewards: Tensor) -> Tensor:
    """Say of each source whether one of its candidates is preferred to another, [B]."""
    return rewards.amax(dim=1) > rewards.amin(dim=1)
