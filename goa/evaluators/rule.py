"""The rule a1 * relevance + a2 * diversity + a3 * sentiment_consistency."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, model_validator

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.evaluators.distinct import distinct_ratio
from goa.evaluators.relevance import Profile
from goa.evaluators.sentiment import make_sentiment
from goa.evaluators.tokens import tokenize
from goa.records import Example, Sample, Scores
from goa.settings import Settings


class RuleSettings(Settings):
    """Weights, of which only the proportions count, and how the parts are measured."""

    kind: Literal["rule"] = "rule"
    relevance: float = Field(default=0.5, ge=0, le=1000)
    """Weight a1."""
    diversity: float = Field(default=0.2, ge=0, le=1000)
    """Weight a2."""
    sentiment_consistency: float = Field(default=0.3, ge=0, le=1000)
    """Weight a3."""
    against: Literal["references", "source", "both"] = "references"
    """What a candidate should be relevant to. In translation the source is another language;
    where a text should stay close to its source (summaries, replies), choose both."""
    max_order: int = Field(default=2, ge=1, le=9)
    """Longest n-gram that diversity looks at, in words."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not self.relevance + self.diversity + self.sentiment_consistency > 0:
            raise ValueError("at least one of the weights must be above 0")
        return self

    def build(self, name: str) -> "Rule":
        """Build the evaluator."""
        return Rule(name, self)


class Rule(Evaluator):
    """A weighted mean of three parts in [0, 1], each in the breakdown too.

    relevance: similarity (:meth:`Profile.similarity`) to the closest reference, to the source, or
    the mean of the two. diversity: distinct n-grams over n-grams within the candidate, averaged
    over n = 1 .. max_order as far as the candidate has n-grams; 0 for a candidate without words.
    sentiment_consistency: 1 - |s(candidate) - mean s(references)| / 2 with VADER's compound score
    s, an English measure.

    sentiment_consistency does not apply (None) where no reference bears sentiment, and the other
    two weights then share the whole. That hangs on the references alone: were it to hang on the
    candidate too, a candidate could raise its reward by switching the part on or off.
    """

    def __init__(self, name: str, settings: RuleSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa", "vaderSentiment")
        self._settings = settings
        self._weights = {
            "relevance": settings.relevance,
            "diversity": settings.diversity,
            "sentiment_consistency": settings.sentiment_consistency,
        }
        self._sentiment = make_sentiment()
        self._profile = lru_cache(maxsize=CACHED_TEXTS)(Profile.of)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample; None where every part of positive weight does not apply."""
        parts = [self._measure(sample) for sample in samples]
        return Scores(
            values=tuple(weighted_mean(measured, self._weights) for measured in parts),
            parts={part: tuple(measured[part] for measured in parts) for part in self._weights},
        )

    def _measure(self, sample: Sample) -> dict[str, float | None]:
        return {
            "relevance": self._relevance(sample.example, Profile.of(sample.candidate)),
            "diversity": diversity(tokenize(sample.candidate), self._settings.max_order),
            "sentiment_consistency": self._consistency(sample),
        }

    def _relevance(self, example: Example, candidate: Profile) -> float:
        closest = max(self._profile(text).similarity(candidate) for text in example.references)
        if self._settings.against == "references":
            return closest
        to_source = self._profile(example.source).similarity(candidate)
        return to_source if self._settings.against == "source" else (closest + to_source) / 2

    def _consistency(self, sample: Sample) -> float | None:
        wanted = [self._sentiment(reference) for reference in sample.example.references]
        if not any(wanted):
            return None
        return 1 - abs(self._sentiment(sample.candidate) - sum(wanted) / len(wanted)) / 2


def diversity(tokens: Sequence[str], max_order: int) -> float:
    """Average the distinct n-gram ratios of the orders that occur; 0 without tokens."""
    ratios = [distinct_ratio(tokens, n) for n in range(1, max_order + 1)]
    found = [ratio for ratio in ratios if ratio is not None]
    return sum(found) / len(found) if found else 0.0


def weighted_mean(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Average the parts that apply, by weight; None if those have no weight."""
    applying = [(weights[part], value) for part, value in parts.items() if value is not None]
    total = sum(weight for weight, _ in applying)
    if not total > 0:
        return None
    return min(1.0, sum(weight * value for weight, value in applying) / total)
