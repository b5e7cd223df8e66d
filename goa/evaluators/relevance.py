"""Relevance: how much two texts are about the same, by cosine of counts or of embeddings."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol, TypeVar

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, FloatArray, describe
from goa.evaluators.pretrained import PretrainedSettings, describe_pretrained
from goa.evaluators.recipe import NOTHING, REFERENCES, Influence, Recipe
from goa.evaluators.sentence_encoder import SentenceEncoder
from goa.evaluators.tokens import FUNCTION_WORDS, tokenize
from goa.records import Example, Sample, Scores

Place = TypeVar("Place")
RelevantTo = Literal["references", "source", "both"]

_CHARACTERS = 3
"""Characters in a run; word boundaries count as one."""


class EmbeddingsSettings(PretrainedSettings):
    """A sentence-transformers model in place of counts; needs the extra ``embeddings``.

    How much of a text it reads is a setting of its own.
    """


class RelevanceSettings(Recipe):
    """What a candidate should be relevant to, and what measures it."""

    kind: Literal["relevance"] = "relevance"
    against: RelevantTo = "references"
    """In translation the source is another language; where a text should stay close to its source
    (summaries, replies), choose both."""
    embeddings: EmbeddingsSettings | None = None
    """null counts words and runs of characters, in any script."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: what a candidate should be relevant to."""
        return NOTHING if self.against == "source" else REFERENCES

    def build(self, name: str) -> "Relevance":
        """Build the evaluator; a model is loaded when it first scores."""
        return Relevance(name, self)


class Relevance(Evaluator):
    """Similarity to the closest reference, to the source, or the mean of the two.

    Of counts it is :meth:`Profile.similarity`; of embeddings their cosine, where one below 0 counts
    as 0, and that of a blank text is 0.
    """

    def __init__(self, name: str, settings: RelevanceSettings) -> None:
        self.name = name
        self._settings = settings
        self._space: _Space[Any] = (
            _Counts() if settings.embeddings is None else _Embeddings(name, settings.embeddings)
        )

    @cached_property
    def signature(self) -> str:  # type: ignore[override] # written once, when first read
        """The recipe."""
        return "|".join(
            [describe(self._settings, "goa", without=["embeddings"]), *self._space.describe()]
        )

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample.

        Raises:
            EvaluatorError: the model of embeddings, or its package, cannot be had.
        """
        if not samples:
            return Scores(values=())
        examples = list(dict.fromkeys(sample.example for sample in samples))
        texts = list(dict.fromkeys(text for one in examples for text in self._wanted(one)))
        wanted = dict(zip(texts, self._space.remembered(texts), strict=True))
        candidates = self._space.place([sample.candidate for sample in samples])
        return Scores(
            values=tuple(
                self._value(candidate, sample.example, wanted)
                for candidate, sample in zip(candidates, samples, strict=True)
            )
        )

    def _wanted(self, example: Example) -> list[str]:
        references = example.references if self._settings.against != "source" else ()
        sources = [example.source] if self._settings.against != "references" else []
        return [*references, *sources]

    def _value(self, candidate: Any, example: Example, wanted: Mapping[str, Any]) -> float:
        found = []
        if self._settings.against != "source":
            places = [wanted[reference] for reference in example.references]
            found.append(max(self._space.similarity(place, candidate) for place in places))
        if self._settings.against != "references":
            found.append(self._space.similarity(wanted[example.source], candidate))
        return sum(found) / len(found)


class _Space(Protocol[Place]):
    """Where texts have places, some closer than others."""

    def describe(self) -> list[str]:
        """Write what the signature has to say beyond the settings."""

    def place(self, texts: Sequence[str]) -> Sequence[Place]:
        """Place N texts."""

    def remembered(self, texts: Sequence[str]) -> Sequence[Place]:
        """Place N texts that come back."""

    def similarity(self, first: Place, second: Place) -> float:
        """Say how close two places are, in [0, 1]."""


class _Counts:
    """Texts as :class:`Profile`."""

    def __init__(self) -> None:
        self._profile = lru_cache(maxsize=CACHED_TEXTS)(Profile.of)

    def describe(self) -> list[str]:
        return []

    def place(self, texts: Sequence[str]) -> list["Profile"]:
        return list(map(Profile.of, texts))

    def remembered(self, texts: Sequence[str]) -> list["Profile"]:
        return list(map(self._profile, texts))

    def similarity(self, first: "Profile", second: "Profile") -> float:
        return first.similarity(second)


class _Embeddings:
    """Texts as vectors [d] of length 1, or 0."""

    def __init__(self, who: str, settings: EmbeddingsSettings) -> None:
        self._settings = settings
        self._encoder = SentenceEncoder(who, settings)
        self.place = self._encoder.embed
        self.remembered = self._encoder.remembered

    def describe(self) -> list[str]:
        libraries = ("transformers", "sentence-transformers")
        of_model = describe_pretrained(self._settings, self._encoder.found, *libraries)
        return [f"embeddings:[{of_model}]"]

    def similarity(self, first: FloatArray, second: FloatArray) -> float:
        return min(1.0, max(0.0, float(first @ second)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a text is about."""

    words: Counter[str]
    """Content words; all words where there is nothing but English function words."""
    characters: Counter[str]
    """Runs of three characters, across words: spelling variants and inflections share most."""

    @classmethod
    def of(cls, text: str) -> "Profile":
        """Count a text's words and characters."""
        tokens = tokenize(text)
        content = [token for token in tokens if token not in FUNCTION_WORDS]
        line = f" {' '.join(tokens)} " if tokens else ""
        runs = [line[i : i + _CHARACTERS] for i in range(len(line) - _CHARACTERS + 1)]
        return cls(words=Counter(content or tokens), characters=Counter(runs))

    def similarity(self, other: "Profile") -> float:
        """Average the cosines of the two kinds of counts, in [0, 1]; 0 if either text is empty."""
        return (cosine(self.words, other.words) + cosine(self.characters, other.characters)) / 2


def cosine(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """Give the cosine of two count vectors, in [0, 1]; 0 if either is empty."""
    product = sum(count * second.get(key, 0) for key, count in first.items())
    squares = _square(first) * _square(second)
    return min(1.0, product / math.sqrt(squares)) if squares else 0.0


def _square(counts: Mapping[str, int]) -> int:
    return sum(count * count for count in counts.values())
