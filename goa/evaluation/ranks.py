"""Where a policy ranks what people wrote: how near it is to the texts that earn the most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from goa.evaluation.teacher_forcing import ranks_of
from goa.policies.policy import Policy
from goa.policies.tokens import Targets
from goa.records import Example
from goa.rollouts.references import references_of
from goa.rollouts.rollout import Rollout

SOURCES_PER_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRanks:
    """Ranks of the tokens of references among the vocabulary, given the tokens before them."""

    sources: int
    """How many references were looked at, one for each source."""
    tokens: int
    """Their tokens, end tokens included."""
    median: float
    """Median rank; 1 is the policy's likeliest token."""
    top_1: float
    """Share of the tokens that are the policy's likeliest."""
    top_10: float
    """Share of the tokens among its ten likeliest."""


def rank_references(policy: Policy, examples: Sequence[Example], seed: int) -> ReferenceRanks:
    """Rank the tokens of one reference of each example, by teacher forcing.

    A policy learns from what it draws, and tokens far down are seldom drawn: rewards move up what
    is near the top already, and little else (Choshen et al., 2020).

    Raises:
        PolicyError: a text is longer than the policy's positions.
    """
    found = []
    for start in range(0, len(examples), SOURCES_PER_BATCH):
        batch = references_of(policy, examples[start : start + SOURCES_PER_BATCH], seed)
        found.append(rank_tokens(policy, batch).cpu().numpy())
    return describe_ranks(len(examples), np.concatenate(found))


def rank_tokens(policy: Policy, given: Rollout) -> Tensor:
    """Rank the tokens of given candidates among the vocabulary, in order: as many as count."""
    num_candidates = given.tokens.shape[1]
    targets = Targets(
        ids=given.tokens.flatten(0, 1),
        mask=given.mask.flatten(0, 1),
        sources=torch.arange(len(given), device=policy.device).repeat_interleave(num_candidates),
    )
    return torch.cat([ranks_of(*part) for part in policy.distributions(given.sources, targets)])


def describe_ranks(num_sources: int, ranks: npt.NDArray[np.int64]) -> ReferenceRanks:
    """Summarise the ranks of all tokens, [N] from 1."""
    return ReferenceRanks(
        sources=num_sources,
        tokens=len(ranks),
        median=float(np.median(ranks)),
        top_1=float(np.mean(ranks <= 1)),
        top_10=float(np.mean(ranks <= 10)),
    )
