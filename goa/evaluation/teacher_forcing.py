"""Measuring how sure a policy is of the next token of what people wrote."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from goa.errors import PolicyError
from goa.evaluation.peakiness import RANKS, Peakiness
from goa.policies.policy import Policy
from goa.policies.tokens import Targets, Tokens
from goa.records import Example

LAST_RANKS = (1, 2, 3, 10, 100)
"""The last rank of each group but the last one."""
TOP = 10

Forced = tuple[Tokens, Targets]
"""Sources, and a reference of each."""


def measure_peakiness(
    policy: Policy, examples: Sequence[Example], sources_per_batch: int
) -> Peakiness | None:
    """Measure a policy on the first reference of each example, end tokens included.

    Examples that the model has no room for are left out; None where it has room for none.
    """
    sums = torch.zeros(5 + len(RANKS), dtype=torch.float64)
    for start in range(0, len(examples), sources_per_batch):
        for sources, targets in _force(policy, examples[start : start + sources_per_batch]):
            for log_probs, tokens in policy.distributions(sources, targets):
                sums += _measure(log_probs, tokens).double().cpu().sum(dim=0)
    num_tokens, *totals = sums.tolist()
    if not num_tokens:
        return None
    entropy, top_1, top_10, reference, *ranks = (total / num_tokens for total in totals)
    return Peakiness(
        entropy=entropy,
        top_1_mass=top_1,
        top_10_mass=top_10,
        reference_probability=reference,
        rank_shares=dict(zip(RANKS, ranks, strict=True)),
    )


def ranks_of(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Rank n tokens among the V that each is chosen from, [n] from [n, V].

    1 is the likeliest; tokens that are as likely share the better rank.
    """
    return (log_probs > log_probs.gather(1, tokens.unsqueeze(1))).sum(dim=1) + 1


def _measure(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Measure n distributions, [n, V], [n, 11]: 1, four means, and 1 in the group of the rank."""
    probs = log_probs.exp()
    top = probs.topk(min(TOP, probs.shape[1]), dim=1).values
    chosen = log_probs.gather(1, tokens.unsqueeze(1))
    ranks = ranks_of(log_probs, tokens)
    groups = torch.bucketize(ranks, torch.tensor(LAST_RANKS, device=ranks.device))
    means = (
        torch.ones_like(top[:, 0]),
        torch.special.entr(probs).sum(dim=1),
        top[:, 0],
        top.sum(dim=1),
        chosen.exp().squeeze(1),
    )
    shares = torch.nn.functional.one_hot(groups, len(RANKS))
    return torch.cat([torch.stack(means, dim=1), shares.to(probs)], dim=1)


def _force(policy: Policy, examples: Sequence[Example]) -> Iterator[Forced]:
    """Lay a batch of examples out, those there is room for; nothing where there are none."""
    rows = [row for example in examples if (row := _tokenize(policy, example)) is not None]
    if rows:
        sources = policy.pad_sources([source for source, _ in rows])
        targets = policy.pad([target for _, target in rows])
        places = torch.arange(len(rows), device=policy.device)
        yield sources, Targets(ids=targets.ids, mask=targets.mask, sources=places)


def _tokenize(policy: Policy, example: Example) -> tuple[list[int], list[int]] | None:
    """Give the ids of an example's source and first reference; None: there is no room for them."""
    try:
        (source,) = policy.source_ids([example.source])
        (target,) = policy.target_ids([example.references[0]])
        room = policy.room(policy.pad_sources([source]))
    except PolicyError:
        return None
    return (source, target) if room is None or len(target) <= int(room) else None
