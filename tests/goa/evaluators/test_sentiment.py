"""Sentiment against the values that VADER publishes."""

import pytest

from goa.evaluators.sentiment import (
    SENTIMENT_CHARACTERS,
    SentimentConsistencySettings,
    make_sentiment,
)


@pytest.mark.parametrize(
    ("text", "compound"),
    [
        ("VADER is smart, handsome, and funny.", 0.8316),
        ("VADER is not smart, handsome, nor funny.", -0.7424),
        ("Today SUX!", -0.5461),
        ("The table has four legs.", 0.0),
        ("Dieser Tisch ist wunderbar.", 0.0),
        ("", 0.0),
    ],
)
def test_it_is_the_compound_score_that_vader_publishes(text: str, compound: float) -> None:
    assert make_sentiment()(text) == compound


def test_it_reads_up_to_its_limit() -> None:
    assert make_sentiment()("x" * (SENTIMENT_CHARACTERS - 1) + " good") == 0.0


def test_consistency_is_with_whatever_is_asked_for(make_sample) -> None:
    sample = make_sample("a good day", "a bad day", source="a good day")
    by_source = SentimentConsistencySettings(against="source").build("s").score([sample])
    by_references = SentimentConsistencySettings().build("s").score([sample])
    assert by_source.values == (1.0,)
    assert by_references.values[0] < 0.6


def test_consistency_does_not_apply_where_nothing_is_felt(make_sample) -> None:
    neutral = make_sample("a good day", "a table", source="a good day")
    assert SentimentConsistencySettings().build("s").score([neutral]).values == (None,)
    assert SentimentConsistencySettings(against="source").build("s").score([neutral]).values == (
        1.0,
    )
