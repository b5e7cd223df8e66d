"""Sentiment of an English text, by VADER (Hutto and Gilbert, 2014)."""

from collections.abc import Callable
from functools import lru_cache

from goa.evaluators.contract import CACHED_TEXTS

SENTIMENT_CHARACTERS = 2000
"""VADER reads no further in a text: its time grows with the square of the words."""


def make_sentiment() -> Callable[[str], float]:
    """Make a function from text to VADER's compound score, in [-1, 1].

    0 means neutral, or that VADER knows none of the words: it knows English words and emoji.
    """
    # Here, not above: checking settings should not read the lexicon.
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415

    analyzer = SentimentIntensityAnalyzer()

    @lru_cache(maxsize=CACHED_TEXTS)
    def sentiment(text: str) -> float:
        return float(analyzer.polarity_scores(text[:SENTIMENT_CHARACTERS])["compound"])

    return sentiment
