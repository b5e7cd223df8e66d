"""The pretrained policy beside the one that is trained: what moving away from it costs."""

from dataclasses import replace

import torch

from goa.objectives.divergence import prices
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.settings import DivergenceSettings

STEERING_GAIN, LARGEST_ERROR = 0.1, 0.2


class Anchor:
    """The policy as it was before training."""

    def __init__(self, policy: Policy, settings: DivergenceSettings) -> None:
        self.settings = settings
        self.weight = settings.weight
        # What an adapter leaves as it was needs no second copy.
        self._pretrained = policy if policy.adapter is not None else policy.frozen_copy()

    @property
    def weight_in_loss(self) -> float:
        """What the divergence weighs in the loss."""
        return self.weight if self.settings.where == "loss" else 0.0

    @property
    def prices_rewards(self) -> bool:
        """Whether the divergence is taken from rewards."""
        return self.settings.where == "reward" and self.weight > 0.0

    def shard(self, device: torch.device, size: int) -> None:
        """Spread the pretrained policy's weights over a team of so many processes."""
        self._pretrained.shard(device, size)

    def attach(self, rollout: Rollout, tokens_per_pass: int) -> Rollout:
        """Add the pretrained policy's log-probs to a rollout, and take their price if told."""
        log_probs = torch.zeros(rollout.mask.shape, device=rollout.mask.device)
        start, pretrained = 0, self._pretrained
        with torch.no_grad(), pretrained.whole(), pretrained.without_adapter():
            for part in rollout.cut(tokens_per_pass):
                scores = pretrained.score(part.sources, part.tokens, part.mask)
                rows = slice(start, start := start + len(part))
                log_probs[rows, :, : scores.log_probs.shape[-1]] = scores.log_probs
        return self._priced(replace(rollout, pretrained_log_probs=log_probs))

    def _priced(self, rollout: Rollout) -> Rollout:
        """Take the price of the divergence from what candidates, and their tokens, earned."""
        pretrained = rollout.pretrained_log_probs
        if (
            not self.prices_rewards
            or rollout.rewards is None
            or rollout.log_probs is None
            or pretrained is None
        ):
            return rollout
        found = prices(rollout.log_probs, pretrained, self.weight)
        if rollout.prefix_mask is not None:
            found = found.masked_fill(rollout.prefix_mask, 0.0)
        credits = None if rollout.credits is None else rollout.credits - found
        return replace(rollout, rewards=rollout.rewards - found.sum(dim=-1), credits=credits)

    def steer(self, kl: float) -> None:
        """Raise the weight where the divergence is above its target, lower it where below.

        ``weight *= 1 + 0.1 clip(kl / target - 1, -0.2, 0.2)``, once a round.
        """
        if self.settings.target is not None:
            error = kl / self.settings.target - 1
            self.weight *= 1 + STEERING_GAIN * max(-LARGEST_ERROR, min(LARGEST_ERROR, error))
