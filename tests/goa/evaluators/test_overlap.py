"""Counting n-grams of a batch against counting them one by one."""

import functools
import operator
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa.evaluators import overlap
from goa.evaluators.overlap import Batch, ranks

Text = list[int]
Group = tuple[list[Text], list[Text]]

MAX_ORDER = 5


def texts_over(size: int, *, at_least: int) -> st.SearchStrategy[list[Text]]:
    tokens = st.integers(0, size - 1)
    return st.lists(st.lists(tokens, max_size=9), min_size=at_least, max_size=3)


groups = st.sampled_from([1, 3, 1 << 40]).flatmap(
    lambda size: st.lists(
        st.tuples(texts_over(size, at_least=1), texts_over(size, at_least=0)), max_size=4
    )
)


def lay_out(groups: list[Group]) -> Batch:
    texts = [text for references, candidates in groups for text in (*references, *candidates)]
    tokens = [token for text in texts for token in text]
    return Batch(
        np.array(tokens, dtype=np.int64),
        np.array([len(text) for text in texts], dtype=np.int64),
        [(len(references), len(candidates)) for references, candidates in groups],
    )


def count(text: Text, order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[at : at + order]) for at in range(len(text) - order + 1))


def union(counters: list[Counter[tuple[int, ...]]]) -> Counter[tuple[int, ...]]:
    return functools.reduce(operator.or_, counters)


@given(groups)
def test_a_batch_counts_what_counting_one_by_one_counts(groups: list[Group]) -> None:
    pairs = [(refs, candidate) for refs, candidates in groups for candidate in candidates]
    for order, counted in enumerate(lay_out(groups).overlaps(MAX_ORDER), 1):
        assert len(counted.num_candidate) == len(pairs)
        for row, (references, candidate) in enumerate(pairs):
            found = count(candidate, order)
            wanted = [count(reference, order) for reference in references]
            assert counted.num_candidate[row] == found.total()
            lacking = [0] * (counted.num_reference.shape[1] - len(references))
            totals = [each.total() for each in wanted]
            assert counted.num_reference[row].tolist() == totals + lacking
            common = [(each & found).total() for each in wanted]
            assert counted.num_common[row].tolist() == common + lacking
            assert counted.num_common_to_any[row] == (found & union(wanted)).total()


def test_the_counts_are_the_same_where_few_n_grams_can_be_packed(monkeypatch) -> None:
    monkeypatch.setattr(overlap, "_BITS", 8)
    test_a_batch_counts_what_counting_one_by_one_counts()


@given(groups)
def test_lengths_are_those_of_the_texts(groups: list[Group]) -> None:
    batch = lay_out(groups)
    pairs = [(refs, candidate) for refs, candidates in groups for candidate in candidates]
    assert batch.candidate_lengths.tolist() == [len(candidate) for _, candidate in pairs]
    width = max((len(references) for references, _ in groups), default=0)
    assert batch.reference_lengths.tolist() == [
        [len(reference) for reference in refs] + [-1] * (width - len(refs)) for refs, _ in pairs
    ]


@pytest.mark.parametrize("spread", [1, 10**9])
def test_ranks_keep_order_and_leave_no_gaps(spread: int) -> None:
    values = np.array([5, 3, 5, 9]) * spread
    assert ranks(values).tolist() == [1, 0, 1, 2]


def test_n_grams_too_many_to_pack_are_numbered_afresh() -> None:
    # 2^15 different tokens, 15 bits each: five of them do not fit into 63.
    text = np.random.default_rng(5).permutation(1 << 15).tolist()
    *_, counted = lay_out([([text], [text[:100], text[-2:]])]).overlaps(6)
    assert counted.num_common[:, 0].tolist() == [95, 0]
