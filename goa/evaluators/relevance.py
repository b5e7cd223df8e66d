"""How much two texts are about the same: cosine of word and of character counts."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from goa.evaluators.tokens import FUNCTION_WORDS, tokenize

_CHARACTERS = 3
"""Characters in a run; word boundaries count as one."""


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
