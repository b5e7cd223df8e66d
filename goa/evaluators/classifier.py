"""What a transformers sequence classifier or regressor says of candidates."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from goa.evaluators.contract import Evaluator, FloatArray
from goa.evaluators.pretrained import describe_pretrained
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.sequence_classifier import (
    Activation,
    Label,
    SequenceClassifier,
    SequenceClassifierSettings,
)
from goa.records import Sample, Scores


class ClassifierSettings(SequenceClassifierSettings, Recipe):
    """Which model, what it reads, and which of its outputs is the score."""

    kind: Literal["classifier"] = "classifier"
    label: Label | None = None
    """Whose probability is the score, by name or index; null for a regressor with one output."""
    activation: Activation = "auto"
    """auto: probabilities over all labels, or of each by itself (sigmoid) where there is but one or
    the model's configuration says so; sigmoid: always of each by itself; none: the raw output."""
    low: float = 0.0
    """With activation none: the raw output that scores 0, as does any lower one."""
    high: float = 1.0
    """With activation none: the raw output that scores 1, as does any higher one."""
    reads: Literal["candidate", "candidate_with_reference", "candidate_with_source"] = "candidate"
    """Of a pair the model reads the reference or source first, the candidate second."""
    references: Literal["max", "mean"] = "max"
    """Of several references: the pair with the highest score, or the mean over all."""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.activation != "none" and (self.low, self.high) != (0.0, 1.0):
            raise ValueError("low and high are of raw outputs: set activation to none")
        return self

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: what the model reads."""
        return REFERENCES if self.reads == "candidate_with_reference" else NOTHING

    def build(self, name: str) -> "Classifier":
        """Build the evaluator; its model is loaded when it first scores."""
        return Classifier(name, self)


class Classifier(Evaluator):
    """One output of a sequence classifier, as a score in [0, 1].

    Scores of equal texts in different batches are equal up to rounding; see
    :class:`goa.evaluators.text_model.TextModel`.
    """

    def __init__(self, name: str, settings: ClassifierSettings) -> None:
        self.name = name
        self._settings = settings
        self._classifier = SequenceClassifier(name, settings)

    @cached_property
    def signature(self) -> str:  # type: ignore[override] # written once, when first read
        """The recipe, which names the model by what is in its files."""
        return describe_pretrained(self._settings, self._classifier.found, "transformers")

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample.

        Raises:
            EvaluatorError: the model cannot be had, or has no such label.
        """
        if not samples:
            return Scores(values=())
        read = [self._pairs(sample) for sample in samples]
        pairs = list(dict.fromkeys(pair for row in read for pair in row))
        found = dict(zip(pairs, map(float, self._values(pairs)), strict=True))
        best = max if self._settings.references == "max" else _mean
        return Scores(values=tuple(best([found[pair] for pair in row]) for row in read))

    def _pairs(self, sample: Sample) -> list[tuple[str, str]]:
        """List what is read of a sample: contexts, "" where there is none, and the candidate."""
        contexts: Sequence[str] = ("",)
        if self._settings.reads == "candidate_with_reference":
            contexts = sample.example.references
        if self._settings.reads == "candidate_with_source":
            contexts = (sample.example.source,)
        return [(context, sample.candidate) for context in contexts]

    def _values(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        settings, contexts = self._settings, [context for context, _ in pairs]
        candidates = [candidate for _, candidate in pairs]
        column = self._classifier.find_label(settings.label)
        alone = settings.reads == "candidate"
        first, second = (candidates, None) if alone else (contexts, candidates)
        outputs = self._classifier.outputs(first, second, settings.activation)[:, column]
        if settings.activation == "none":
            outputs = (outputs - settings.low) / (settings.high - settings.low)
        return np.clip(outputs, 0.0, 1.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
