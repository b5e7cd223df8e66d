"""The rule a1 * relevance + a2 * diversity + a3 * sentiment_consistency."""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.diversity import DiversitySettings
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.relevance import RelevanceSettings, RelevantTo
from goa.evaluators.sentiment import SentimentConsistencySettings
from goa.records import Sample, Scores


class RuleSettings(Recipe):
    """Weights, of which only the proportions count, and how the parts are measured."""

    kind: Literal["rule"] = "rule"
    relevance: float = Field(default=0.5, ge=0, le=1000)
    """Weight a1."""
    diversity: float = Field(default=0.2, ge=0, le=1000)
    """Weight a2."""
    sentiment_consistency: float = Field(default=0.3, ge=0, le=1000)
    """Weight a3."""
    against: RelevantTo = "references"
    """What a candidate should be relevant to; see :class:`RelevanceSettings`."""
    max_order: int = Field(default=2, ge=1, le=9)
    """Longest n-gram that diversity looks at, in words."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not self.relevance + self.diversity + self.sentiment_consistency > 0:
            raise ValueError("at least one of the weights must be above 0")
        return self

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on; a part without weight is in the breakdown alone."""
        relevance = self.relevance > 0 and self.against != "source"
        return REFERENCES if relevance or self.sentiment_consistency > 0 else NOTHING

    def build(self, name: str) -> "Rule":
        """Build the evaluator."""
        return Rule(name, self)


class Rule(Evaluator):
    """A weighted mean of three parts in [0, 1], each in the breakdown too.

    The parts are :class:`Relevance`, :class:`Diversity` and :class:`SentimentConsistency`. Where
    one of them does not apply, the other two weights share the whole.
    """

    def __init__(self, name: str, settings: RuleSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa", "vaderSentiment")
        self._weights = {
            "relevance": settings.relevance,
            "diversity": settings.diversity,
            "sentiment_consistency": settings.sentiment_consistency,
        }
        self._parts: dict[str, Evaluator] = {
            "relevance": RelevanceSettings(against=settings.against).build(name),
            "diversity": DiversitySettings(max_order=settings.max_order).build(name),
            "sentiment_consistency": SentimentConsistencySettings().build(name),
        }

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample; None where every part of positive weight does not apply."""
        columns = {part: scorer.score(samples).values for part, scorer in self._parts.items()}
        rows = [
            {part: column[row] for part, column in columns.items()} for row in range(len(samples))
        ]
        return Scores(
            values=tuple(weighted_mean(measured, self._weights) for measured in rows),
            parts=columns,
        )


def weighted_mean(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Average the parts that apply, by weight; None if those have no weight."""
    applying = [(weights[part], value) for part, value in parts.items() if value is not None]
    total = sum(weight for weight, _ in applying)
    if not total > 0:
        return None
    return min(1.0, sum(weight * value for weight, value in applying) / total)
