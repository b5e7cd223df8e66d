"""Where a policy ranks references."""

import numpy as np

from goa.evaluation import ranks as module
from goa.evaluation.ranks import ReferenceRanks, describe_ranks, rank_references
from goa.policies.policy import Policy
from goa.records import Example
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
