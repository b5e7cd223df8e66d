"""Where a policy ranks references."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.evaluation import ranks as module
from goa.evaluation.ranks import ReferenceRanks, describe_ranks, rank_references, rank_tokens
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.rollout import Rollout
from tests.conftest import SENTENCES

EXAMPLES = [
    Example(id=str(place), source=text, references=(SENTENCES[place - 1],))
    for place, text in enumerate(SENTENCES)
]


def test_the_summary_is_as_worked_by_hand() -> None:
    assert describe_ranks(2, np.asarray([1, 1, 2, 10, 11])) == ReferenceRanks(
        sources=2, tokens=5, median=2.0, top_1=0.4, top_10=0.8
    )


def test_every_token_of_a_reference_counts_the_end_included(policy: Policy) -> None:
    found = rank_references(policy, EXAMPLES, seed=0)
    ids = policy.target_ids([example.references[0] for example in EXAMPLES])
    assert (found.sources, found.tokens) == (5, sum(map(len, ids)))


def test_batches_change_nothing(policy: Policy, monkeypatch) -> None:
    whole = rank_references(policy, EXAMPLES, seed=0)
    monkeypatch.setattr(module, "SOURCES_PER_BATCH", 2)
    assert rank_references(policy, EXAMPLES, seed=0) == whole


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
def test_a_tokens_rank_counts_the_tokens_that_are_likelier(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    policy = make_policy(architecture)
    sources = policy.tokenize_sources(SENTENCES[:2])
    rows = policy.pad(policy.target_ids([*SENTENCES[1:4], SENTENCES[0]]))
    tokens, mask = rows.ids.view(2, 2, -1), rows.mask.view(2, 2, -1)
    found = rank_tokens(policy, Rollout(sources=sources, tokens=tokens, mask=mask))
    ranks = torch.zeros_like(tokens)
    ranks[mask] = found
    place = (1, 0, 2)
    log_probs = []
    for token in range(len(policy.tokenizer)):
        changed = tokens.clone()
        changed[place] = token
        with torch.no_grad():
            log_probs.append(float(policy.score(sources, changed, mask).log_probs[place]))
    likelier = sum(other > log_probs[tokens[place]] for other in log_probs)
    assert ranks[place] == likelier + 1
    assert len(found) == mask.sum()
    assert bool((found >= 1).all())


def test_what_greedy_decoding_writes_ranks_first(policy: Policy) -> None:
    sources = policy.tokenize_sources(SENTENCES[:3])
    written = generate(policy, sources, GreedySettings(kind="greedy", max_tokens=8), 0, list("abc"))
    given = Rollout(sources=sources, tokens=written.tokens, mask=written.mask)
    assert rank_tokens(policy, given).tolist() == [1] * int(written.mask.sum())
