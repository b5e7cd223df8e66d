"""Length ratio by hand."""

import numpy as np
import pytest

from goa.evaluators.contract import Evaluator
from goa.evaluators.length_ratio import LengthRatio, LengthRatioSettings


@pytest.fixture
def length_ratio() -> LengthRatio:
    return LengthRatio("length_ratio", LengthRatioSettings())


@pytest.mark.parametrize(
    ("candidate", "references", "lengths"),
    [
        ("a b c", ["a b", "a b c d e f"], (3, 2)),
        ("a b c", ["a b", "a b c d"], (3, 2)),
        ("a b c", ["a b c d", "a b"], (3, 2)),
        ("", ["a b", "a"], (0, 1)),
        ("Wow, great!", ["Great."], (2, 1)),
        ("我们去", ["我去了公园"], (3, 5)),
    ],
)
def test_a_candidate_is_measured_against_the_closest_length(
    length_ratio, make_sample, candidate, references, lengths
) -> None:
    sample = make_sample(candidate, *references)
    np.testing.assert_array_equal(length_ratio.statistics([sample]), [lengths])


def test_the_corpus_ratio_weighs_by_length(length_ratio, make_sample) -> None:
    samples = [make_sample("a b c", "a b"), make_sample("a", "a b c d")]
    assert length_ratio.corpus(length_ratio.statistics(samples).sum(axis=0)) == 4 / 6


def test_references_without_words_have_no_ratio(length_ratio, make_sample) -> None:
    sums = length_ratio.statistics([make_sample("a", "...")]).sum(axis=0)
    assert np.isnan(length_ratio.corpus(sums))


def test_it_is_neither_a_reward_nor_good_or_bad(length_ratio) -> None:
    assert not isinstance(length_ratio, Evaluator)
    assert not length_ratio.higher_is_better
