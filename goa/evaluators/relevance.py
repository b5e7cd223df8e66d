"""Relevance: how much two texts are about the same, by cosine of word and of character counts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from goa.evaluators.contract import CACHED_TEXTS, Evaluator, describe
from goa.evaluators.tokens import FUNCTION_WORDS, tokenize
from goa.records import Sample, Scores
from goa.settings import Settings

RelevantTo = Literal["references", "source", "both"]

_CHARACTERS = 3
"""Characters in a run; word boundaries count as one."""


class RelevanceSettings(Settings):
    """What a candidate should be relevant to."""

    kind: Literal["relevance"] = "relevance"
    against: RelevantTo = "references"
    """In translation the source is another language; where a text should stay close to its source
    (summaries, replies), choose both."""

    def build(self, name: str) -> "Relevance":
        """Build the evaluator."""
        return Relevance(name, self)


class Relevance(Evaluator):
    """Similarity to the closest reference, to the source, or the mean of the two."""

    def __init__(self, name: str, settings: RelevanceSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa")
        self._against = settings.against
        self._profile = lru_cache(maxsize=CACHED_TEXTS)(Profile.of)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample."""
        return Scores(values=tuple(self._value(sample) for sample in samples))

    def _value(self, sample: Sample) -> float:
        example, candidate = sample.example, Profile.of(sample.candidate)
        found = []
        if self._against != "source":
            profiles = map(self._profile, example.references)
            found.append(max(profile.similarity(candidate) for profile in profiles))
        if self._against != "references":
            found.append(self._profile(example.source).similarity(candidate))
        return sum(found) / len(found)


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
