"""Sentiment consistency: of English texts, by VADER (Hutto and Gilbert, 2014)."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.records import Sample, Scores
from goa.settings import Settings

SENTIMENT_CHARACTERS = 2000
"""VADER reads no further in a text: its time grows with the square of the words."""


class SentimentConsistencySettings(Settings):
    """What sentiment a candidate should have."""

    kind: Literal["sentiment_consistency"] = "sentiment_consistency"
    against: Literal["references", "source"] = "references"
    """Whose sentiment; of several references, their mean."""

    def build(self, name: str) -> "SentimentConsistency":
        """Build the evaluator."""
        return SentimentConsistency(name, self)


class SentimentConsistency(Evaluator):
    """``1 - |s(candidate) - s(wanted)| / 2`` with VADER's compound score s, an English measure.

    It does not apply (None) where nothing that is wanted bears sentiment. That hangs on references
    or source alone: were it to hang on the candidate too, a candidate could raise its reward by
    switching the part on or off.
    """

    def __init__(self, name: str, settings: SentimentConsistencySettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa", "vaderSentiment")
        self._against = settings.against
        self._sentiment = make_sentiment()

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample."""
        return Scores(values=tuple(self._value(sample) for sample in samples))

    def _value(self, sample: Sample) -> float | None:
        example = sample.example
        texts = example.references if self._against == "references" else (example.source,)
        wanted = [self._sentiment(text) for text in texts]
        if not any(wanted):
            return None
        return 1 - abs(self._sentiment(sample.candidate) - sum(wanted) / len(wanted)) / 2


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
