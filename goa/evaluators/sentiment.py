"""Sentiment consistency: by VADER (Hutto and Gilbert, 2014), or by a classifier of any language."""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Literal, Self

from pydantic import Field, model_validator

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.evaluators.memory import Memory
from goa.evaluators.pretrained import describe_pretrained
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.sequence_classifier import (
    Label,
    SequenceClassifier,
    SequenceClassifierSettings,
)
from goa.records import Sample, Scores

SENTIMENT_CHARACTERS = 2000
"""VADER reads no further in a text: its time grows with the square of the words."""


class SentimentClassifierSettings(SequenceClassifierSettings):
    """A sequence classifier whose labels are sentiments, used in VADER's place."""

    positive: Label
    """The label of positive texts, by name or index."""
    negative: Label
    """The label of negative texts."""
    neutral: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The largest |P(positive) - P(negative)| that counts as no sentiment."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if self.positive == self.negative:
            raise ValueError("positive and negative must be different labels")
        return self


class SentimentConsistencySettings(Recipe):
    """What sentiment a candidate should have, and what measures it."""

    kind: Literal["sentiment_consistency"] = "sentiment_consistency"
    against: Literal["references", "source"] = "references"
    """Whose sentiment; of several references, their mean."""
    classifier: SentimentClassifierSettings | None = None
    """null is VADER, for English texts."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: whose sentiment is wanted."""
        return NOTHING if self.against == "source" else REFERENCES

    def build(self, name: str) -> "SentimentConsistency":
        """Build the evaluator; a classifier is loaded when it first scores."""
        return SentimentConsistency(name, self)


class SentimentConsistency(Evaluator):
    """``1 - |s(candidate) - s(wanted)| / 2`` with a sentiment s in [-1, 1].

    s is VADER's compound score, an English measure, or P(positive) - P(negative) of a classifier.

    It does not apply (None) where nothing that is wanted bears sentiment: |s| is at most 0 by
    VADER, ``neutral`` by a classifier. That hangs on references or source alone: were it to hang on
    the candidate too, a candidate could raise its reward by switching the part on or off.
    """

    def __init__(self, name: str, settings: SentimentConsistencySettings) -> None:
        self.name = name
        self._settings = settings
        self._meter = (
            VaderMeter()
            if settings.classifier is None
            else ClassifierMeter(name, settings.classifier)
        )
        # The classifier's answers are worth remembering for references, not for candidates.
        self._wanted = Memory(self._meter.measure)

    @cached_property
    def signature(self) -> str:  # type: ignore[override] # written once, when first read
        """The recipe."""
        return self._meter.describe(self._settings)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample.

        Raises:
            EvaluatorError: the classifier cannot be had, or has not these labels.
        """
        texts = [self._wanted_texts(sample) for sample in samples]
        wanted = iter(self._wanted([text for row in texts for text in row]))
        rows = [[next(wanted) for _ in row] for row in texts]
        candidates = list(dict.fromkeys(sample.candidate for sample in samples))
        found = dict(zip(candidates, self._meter.measure(candidates), strict=True))
        return Scores(
            values=tuple(
                self._value(found[sample.candidate], row)
                for sample, row in zip(samples, rows, strict=True)
            )
        )

    def _wanted_texts(self, sample: Sample) -> Sequence[str]:
        if self._settings.against == "references":
            return sample.example.references
        return (sample.example.source,)

    def _value(self, sentiment: float, wanted: Sequence[float]) -> float | None:
        if not any(abs(one) > self._meter.neutral for one in wanted):
            return None
        return 1 - abs(sentiment - sum(wanted) / len(wanted)) / 2


class VaderMeter:
    """Sentiment by VADER's compound score."""

    neutral = 0.0

    def __init__(self) -> None:
        self._sentiment = make_sentiment()

    def measure(self, texts: Sequence[str]) -> list[float]:
        """Give the sentiment of each text, in [-1, 1]."""
        return [self._sentiment(text) for text in texts]

    def describe(self, settings: SentimentConsistencySettings) -> str:
        """Write the signature."""
        return describe(settings, "goa", "vaderSentiment", without=["classifier"])


class ClassifierMeter:
    """Sentiment by a classifier: P(positive) - P(negative)."""

    def __init__(self, who: str, settings: SentimentClassifierSettings) -> None:
        self.neutral = settings.neutral
        self._settings = settings
        self._classifier = SequenceClassifier(who, settings)

    def measure(self, texts: Sequence[str]) -> list[float]:
        """Give the sentiment of each text, in [-1, 1]."""
        if not texts:
            return []
        positive = self._classifier.find_label(self._settings.positive)
        negative = self._classifier.find_label(self._settings.negative)
        outputs = self._classifier.outputs(texts)
        return list(map(float, outputs[:, positive] - outputs[:, negative]))

    def describe(self, settings: SentimentConsistencySettings) -> str:
        """Write the signature, the classifier's in brackets."""
        of_classifier = describe_pretrained(self._settings, self._classifier.found, "transformers")
        return f"{describe(settings, 'goa', without=['classifier'])}|classifier:[{of_classifier}]"


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
