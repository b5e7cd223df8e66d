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
    policy: Policy, evaluator: Evaluator, examples: Sequence[Example], rollout: Rollout
) -> Tensor:
    """Score every prefix of every candidate; give what each token added, [B, K, T].

    ``c_t = r(y_1..t) - r(y_1..t-1)``, with r of nothing counted to the first token, so that a
    candidate's credits sum to its reward (Ng et al., 1999; Bahdanau et al., 2017, section 3). Each
    text is scored once for its source: candidates share beginnings, and an end token adds no text.

    Raises:
        EvaluatorError: the evaluator has no score for a prefix.
    """
    texts = _prefix_texts(policy, rollout)
    distinct = [list(dict.fromkeys(text for row in rows for text in row)) for rows in texts]
    rewards, _ = reward(evaluator, examples, distinct)
    known = [
        dict(zip(row, scores, strict=True)) for row, scores in zip(distinct, rewards, strict=True)
    ]
    credits = torch.zeros(rollout.mask.shape, device=rollout.mask.device)
    for source, rows in enumerate(texts):
        for candidate, row in enumerate(rows):
            reached = torch.tensor([0.0, *(known[source][text] for text in row)])
            credits[source, candidate, : len(row)] = reached.diff()
    return credits


def _prefix_texts(policy: Policy, rollout: Rollout) -> list[list[list[str]]]:
    """Give the text of every prefix: [B][K][T of the candidate]."""
    lengths = rollout.mask.sum(dim=-1).tolist()
    ids = rollout.tokens.tolist()
    prefixes = [
        row[: place + 1]
        for rows, counts in zip(ids, lengths, strict=True)
        for row, count in zip(rows, counts, strict=True)
        for place in range(count)
    ]
    written = iter(policy.texts(prefixes))
    return [[[next(written) for _ in range(count)] for count in counts] for counts in lengths]
