"""Diversity of a candidate by itself, beside those of other sources, and beside its siblings."""

import math
from typing import Any

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from goa.errors import SettingsError
from goa.evaluators.contract import checked_score
from goa.evaluators.diversity import Diversity, DiversitySettings, entropy_ratio
from goa.evaluators.tokens import tokenize
from goa.records import Example, Sample
from goa.settings import validate


def build(**settings: Any) -> Diversity:
    return validate(DiversitySettings, settings, "here").build("diversity")


def of(key: str, *texts: str) -> list[Sample]:
    example = Example(id=key, source="s", references=("r",))
    return [Sample(example=example, candidate=text) for text in texts]


def values(samples: list[Sample], **settings: Any) -> tuple[float | None, ...]:
    return checked_score(build(**settings), samples).values


def test_by_default_it_is_the_mean_of_distinct_ratios() -> None:
    assert values(of("a", "a b a b", "a", "")) == ((2 / 4 + 2 / 3) / 2, 1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b c d", 1, 1.0),
        ("a a a a", 1, 0.0),
        # Two of probability 1/2: one bit of the two that four could have.
        ("a a b b", 1, 0.5),
        ("a a b", 1, (math.log(3) - 2 / 3 * math.log(2)) / math.log(3)),
        ("a a a", 2, 0.0),
        ("a b", 2, 1.0),
        ("a", 2, None),
        ("", 1, None),
    ],
)
def test_entropy_is_as_worked_by_hand(text: str, n: int, expected: float | None) -> None:
    assert entropy_ratio(text.split(), n) == pytest.approx(expected, abs=1e-12)


def test_entropy_is_averaged_over_the_orders_that_the_candidate_has() -> None:
    # The bigrams aa and ab are distinct.
    words = (math.log(3) - 2 / 3 * math.log(2)) / math.log(3)
    samples = of("a", "a a b", "a", "?!")
    assert values(samples, measure="entropy") == (pytest.approx((words + 1) / 2), 1.0, 0.0)


@given(st.lists(st.sampled_from("abc"), min_size=2))
def test_entropy_is_one_exactly_where_nothing_is_repeated(words: list[str]) -> None:
    ratio = entropy_ratio(words, 1)
    assert ratio is not None
    assert 0 <= ratio <= 1
    assert (ratio == 1) == (len(set(words)) == len(words))


def test_batch_diversity_is_as_worked_by_hand() -> None:
    samples = [*of("a", "the cat", "the dog dog"), *of("b", "the cat"), *of("c", "the end")]
    # Of the two candidates of other sources, both say "the", one "cat", none "dog".
    found = values(samples, within="batch", max_order=1)
    assert found[:2] == (pytest.approx((0 + 0.5) / 2), pytest.approx((0 + 1) / 2))
    # Of three others, three say "the", one "cat".
    assert found[2] == pytest.approx((0 + 2 / 3) / 2)
    # "the cat" is a bigram of one other of two.
    assert values(samples, within="batch")[0] == pytest.approx((0.25 + 0.5) / 2)


def test_in_a_batch_siblings_and_repetitions_change_nothing() -> None:
    others = of("b", "the cat", "an end")
    (value, *_) = values([*of("a", "the dog"), *others], within="batch", max_order=1)
    found = values([*of("a", "the dog", "the the dog dog"), *others], within="batch", max_order=1)
    assert found[:2] == (value, value)


def test_a_batch_of_one_source_shares_nothing() -> None:
    assert values(of("a", "the cat", "the cat", ""), within="batch") == (1.0, 1.0, 0.0)


TEXTS = ["A man rides a horse.", "a man is riding a brown horse", "Two dogs play", "a man"]


@pytest.mark.parametrize("max_order", [1, 2, 4])
def test_source_diversity_is_what_sacrebleus_bleu_of_each_against_the_others_leaves(
    max_order: int,
) -> None:
    words = [" ".join(tokenize(text)) for text in TEXTS]
    bleu = sacrebleu.BLEU(tokenize="none", effective_order=True, max_ngram_order=max_order)
    expected = [
        1 - bleu.sentence_score(line, [other for other in words if other != line]).score / 100
        for line in words
    ]
    found = values(of("a", *TEXTS), within="source", max_order=max_order)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 < min(expected) < max(expected)


def test_source_diversity_of_one_word_is_as_worked_by_hand() -> None:
    # Half of the unigrams are the other's; lengths agree, so nothing is paid for brevity.
    assert values(of("a", "a b", "a c"), within="source", max_order=1) == pytest.approx((0.5, 0.5))


def test_siblings_that_say_the_same_have_no_diversity() -> None:
    samples = [*of("a", "A man rides.", "a man rides"), *of("b", "two dogs", "three cats")]
    found = values(samples, within="source")
    assert found[:2] == pytest.approx((0.0, 0.0), abs=1e-12)
    assert None not in found
    assert found[2:] == (pytest.approx(1.0, abs=1e-12),) * 2


def test_a_lone_candidate_repeats_nobody() -> None:
    assert values([*of("a", "a man"), *of("b", "a man")], within="source") == (1.0, 1.0)


@pytest.mark.parametrize("within", ["candidate", "batch", "source"])
def test_silence_is_not_diverse(within: str) -> None:
    samples = [*of("a", "", "a man", "?!"), *of("b", "")]
    assert values(samples, within=within)[::2] == (0.0, 0.0)
    assert values(samples, within=within)[3] == 0.0


@pytest.mark.parametrize("within", ["batch", "source"])
def test_entropy_is_of_a_candidate_by_itself(within: str) -> None:
    with pytest.raises(SettingsError, match=f"entropy has no meaning within: {within}"):
        build(measure="entropy", within=within)


def test_it_reads_the_batch_where_candidates_are_compared() -> None:
    found = {within: build(within=within).reads_batch for within in ("candidate", "batch")}
    assert found == {"candidate": False, "batch": True}
    assert build(within="source").reads_batch


def test_its_signature_tells_what_is_compared_and_by_what() -> None:
    signature = build(within="source").signature
    assert signature.startswith("diversity|max_order:2|measure:distinct|within:source|version:goa-")
    assert ",sacrebleu-" in signature
    assert "sacrebleu" not in build(within="batch").signature


def test_a_word_that_the_only_other_text_has_too_is_all_shared() -> None:
    samples = [*of("a", "word"), *of("b", "word")]
    assert values(samples, within="batch") == (0.0, 0.0)


def test_words_are_compared_with_those_of_siblings_as_a_whole() -> None:
    samples = of("a", "snake_case", "snake_game")
    assert values(samples, within="source", max_order=1) == (1.0, 1.0)
