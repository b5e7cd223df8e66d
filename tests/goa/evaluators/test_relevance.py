"""Relevance by hand."""

import math

import pytest

from goa.evaluators.relevance import Profile, RelevanceSettings, cosine


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 2, "c": 1}, 2 / 5),
        ({"a": 3}, {"a": 1}, 1.0),
        ({"a": 1}, {"b": 1}, 0.0),
        ({}, {"a": 1}, 0.0),
        ({}, {}, 0.0),
    ],
)
def test_the_cosine_is_as_worked_by_hand(first, second, expected) -> None:
    assert cosine(first, second) == pytest.approx(expected, abs=1e-15)
    assert cosine(second, first) == pytest.approx(expected, abs=1e-15)


def test_function_words_are_left_out() -> None:
    assert Profile.of("The dog and the cats of a dog").words == {"dog": 2, "cats": 1}


def test_a_text_of_function_words_only_keeps_them() -> None:
    assert Profile.of("it is").words == {"it": 1, "is": 1}


def test_a_shared_stem_counts_half_by_its_characters() -> None:
    # No word in common; " ca" and "cat" of 3 and of 4 character runs.
    similarity = Profile.of("cat").similarity(Profile.of("cats"))
    assert similarity == pytest.approx((0 + 2 / math.sqrt(3 * 4)) / 2, abs=1e-15)


def test_equal_texts_are_wholly_similar() -> None:
    assert Profile.of("Two dogs!").similarity(Profile.of("two dogs")) == 1.0


def test_chinese_texts_share_what_they_share() -> None:
    text = Profile.of("我们今天去公园")
    near, far = Profile.of("今天我们去公园"), Profile.of("下雨了")
    assert text.similarity(near) > 0.5 > text.similarity(far)


def test_an_empty_text_is_similar_to_nothing() -> None:
    assert Profile.of("...").similarity(Profile.of("")) == 0.0


def test_a_candidate_is_held_against_references_source_or_both(make_sample) -> None:
    sample = make_sample("red horses run", "red horses run", "no", source="nothing alike")
    found = {
        against: RelevanceSettings(against=against).build("r").score([sample]).values[0]
        for against in ("references", "source", "both")
    }
    assert found["references"] == pytest.approx(1.0)
    assert found["source"] < 0.2
    assert found["both"] == pytest.approx((found["references"] + found["source"]) / 2)
