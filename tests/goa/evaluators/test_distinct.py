"""Distinct-n by hand and by counting."""

import random
from itertools import pairwise

import numpy as np
import pytest

from goa.evaluators.distinct import Distinct, DistinctSettings, distinct_ratio


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b a b", 1, 2 / 4),
        ("a b a b", 2, 2 / 3),
        ("a b c", 2, 1.0),
        ("a a a a", 3, 1 / 2),
        ("a", 1, 1.0),
        ("a", 2, None),
        ("", 1, None),
    ],
)
def test_the_ratio_within_a_text_is_as_worked_by_hand(text, n, expected) -> None:
    assert distinct_ratio(text.split(), n) == expected


def test_the_value_of_a_candidate_is_its_own_ratio_and_zero_where_it_is_too_short(
    make_sample,
) -> None:
    distinct = Distinct("distinct", DistinctSettings(n=2))
    samples = [make_sample(text, "r") for text in ("a b a b", "a b c", "a", "")]
    assert distinct.score(samples).values == (2 / 3, 1.0, 0.0, 0.0)


def test_statistics_share_types_out_among_their_occurrences(make_sample) -> None:
    distinct = Distinct("distinct", DistinctSettings(n=1))
    samples = [make_sample(text, "r") for text in ("a b", "a a c", "")]
    expected = [[1 / 3 + 1, 2], [2 / 3 + 1, 3], [0, 0]]
    np.testing.assert_allclose(distinct.statistics(samples), expected, rtol=1e-15)


def test_the_corpus_score_is_types_over_tokens(make_sample) -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choices("abcdefg", k=rng.randint(0, 9))) for _ in range(200)]
    found = [pair for text in texts for pair in pairwise(text.split())]
    distinct = Distinct("distinct", DistinctSettings(n=2))
    sums = distinct.statistics([make_sample(text, "r") for text in texts]).sum(axis=0)
    assert distinct.corpus(sums) == pytest.approx(len(set(found)) / len(found), abs=1e-12)


def test_without_any_ngram_there_is_no_corpus_score(make_sample) -> None:
    distinct = Distinct("distinct", DistinctSettings(n=2))
    assert np.isnan(distinct.corpus(distinct.statistics([make_sample("a", "r")]).sum(axis=0)))
