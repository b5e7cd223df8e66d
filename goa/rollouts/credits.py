"""What each token earned: the evaluator's own gain from prefix to prefix."""

from collections.abc import Sequence

import torch
from torch import Tensor

from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.rewards import reward
from goa.rollouts.rollout import Rollout


def reward_gains(
    policy: Policy,
    evaluator: Evaluator,
    examples: Sequence[Example],
    rollout: Rollout,
    *,
    drops: bool = False,
) -> Tensor:
    """Score every prefix of every candidate; give what each token added, [B, K, T].

    ``c_t = r(y_1..t) - r(y_1..t-1)``, with r of nothing counted to the first token, so that a
    candidate's credits sum to its reward (Ng et al., 1999; Bahdanau et al., 2017, section 3). Equal
    texts of a source are scored once: candidates share beginnings, and an end token adds no text.
    The evaluator has to be one that does not read the batch (the trainer sees to it).

    Raises:
        EvaluatorError: the evaluator has no score for a prefix.
    """
    lengths = rollout.mask.sum(dim=-1).tolist()
    texts = _prefix_texts(policy, rollout, lengths)
    rewards, _ = reward(evaluator, examples, texts, drops=drops)
    credits = torch.zeros(rollout.mask.shape, device=rollout.mask.device)
    for source, (counts, reached) in enumerate(zip(lengths, rewards, strict=True)):
        start = 0
        for candidate, count in enumerate(counts):
            own = torch.tensor([0.0, *reached[start : start + count]])
            credits[source, candidate, :count] = own.diff()
            start += count
    return credits


def _prefix_texts(
    policy: Policy, rollout: Rollout, lengths: Sequence[Sequence[int]]
) -> list[list[str]]:
    """Give the texts of all prefixes of each source's candidates, candidate by candidate."""
    prefixes = [
        row[: place + 1]
        for rows, counts in zip(rollout.tokens.tolist(), lengths, strict=True)
        for row, count in zip(rows, counts, strict=True)
        for place in range(count)
    ]
    written = iter(policy.texts(prefixes))
    return [[next(written) for _ in range(sum(counts))] for counts in lengths]
