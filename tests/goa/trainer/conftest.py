"""What tests of training share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Sample, Scores
from goa.rollouts.rollout import Rollout
from tests.conftest import SENTENCES


class Long(Evaluator):
    """Pays for long candidates."""

    name = signature = "long"

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(values=tuple(min(1.0, len(sample.candidate) / 80) for sample in samples))


def references(policy: Policy) -> Rollout:
    """Five sources with a reference of another length each."""
    targets = policy.pad(policy.target_ids(SENTENCES[::-1]))
    return Rollout(
        sources=policy.tokenize_sources(SENTENCES),
        tokens=targets.ids[:, None],
        mask=targets.mask[:, None],
    )


def weights(policy: Policy) -> dict[str, Tensor]:
    """Copy all weights."""
    return {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}


def candidates(policy: Policy) -> Rollout:
    """Five sources with two candidates each that the policy wrote itself, and their rewards."""
    rollout = references(policy)
    tokens = torch.cat([rollout.tokens, rollout.tokens.roll(1, dims=0)], dim=1)
    mask = torch.cat([rollout.mask, rollout.mask.roll(1, dims=0)], dim=1)
    with torch.no_grad():
        scores = policy.score(rollout.sources, tokens, mask)
    return Rollout(
        sources=rollout.sources,
        tokens=tokens,
        mask=mask,
        log_probs=scores.log_probs,
        rewards=torch.tensor([[0.2, 0.6], [0.9, 0.1], [0.4, 0.5], [0.1, 0.3], [0.5, 0.45]]),
    )
