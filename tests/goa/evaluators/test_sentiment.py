"""Sentiment against the values that VADER publishes."""

import pytest

from goa.evaluators.sentiment import SENTIMENT_CHARACTERS, make_sentiment


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
