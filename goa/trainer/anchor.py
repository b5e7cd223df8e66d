"""The pretrained policy beside the one that is trained: what moving away from it costs."""

import copy
from dataclasses import replace

import torch

from goa.objectives.divergence import penalise
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.settings import DivergenceSettings

STEERING_GAIN, LARGEST_ERROR = 0.1, 0.2


class Anchor:
    """A frozen copy of the policy as it was before training."""

    def __init__(self, policy: Policy, settings: DivergenceSettings) -> None:
        self.settings = settings
        self.weight = settings.weight
        self._pretrained = Policy(copy.deepcopy(policy.model).eval(), policy.tokenizer)
        self._pretrained.model.requires_grad_(False)

    @property
    def weight_in_loss(self) -> float:
        """What the divergence weighs in the loss."""
        return self.weight if self.settings.where == "loss" else 0.0

    def attach(self, rollout: Rollout, tokens_per_pass: int) -> Rollout:
        """Add the pretrained policy's log-probs to a rollout, and penalise its rewards if told."""
        log_probs = torch.zeros(rollout.mask.shape, device=rollout.mask.device)
        start = 0
        for part in rollout.cut(tokens_per_pass):
            with torch.no_grad():
                scores = self._pretrained.score(part.sources, part.tokens, part.mask)
            rows = slice(start, start := start + len(part))
            log_probs[rows, :, : scores.log_probs.shape[-1]] = scores.log_probs
        rewards = rollout.rewards
        if rewards is not None and rollout.log_probs is not None and self._prices_rewards:
            rewards = penalise(rewards, rollout.log_probs, log_probs, self.weight)
        return replace(rollout, pretrained_log_probs=log_probs, rewards=rewards)

    def steer(self, kl: float) -> None:
        """Raise the weight where the divergence is above its target, lower it where below.

        ``weight *= 1 + 0.1 clip(kl / target - 1, -0.2, 0.2)``, once a round.
        """
        if self.settings.target is not None:
            error = kl / self.settings.target - 1
            self.weight *= 1 + STEERING_GAIN * max(-LARGEST_ERROR, min(LARGEST_ERROR, error))

    @property
    def _prices_rewards(self) -> bool:
        return self.settings.where == "reward" and self.weight > 0.0
