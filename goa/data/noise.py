"""Noise on sources: what people mistype and leave out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from goa.randomness import generator
from goa.records import Example
from goa.settings import Settings


class NoiseSettings(Settings):
    """How much is wrong in a noised source (Belinkov and Bisk, 2018, of character swaps)."""

    swaps: float = Field(0.05, ge=0.0, le=1.0)
    """Chance of each two neighbouring characters of a word to change places; none does so twice."""
    drops: float = Field(0.05, ge=0.0, le=1.0)
    """Chance of each word to be missing; one word always stays."""


class SourceNoiseSettings(NoiseSettings):
    """Noise on some sources."""

    share: float = Field(0.5, gt=0.0, le=1.0)
    """Share of the sources that are noised."""


def noised(
    examples: Sequence[Example], settings: NoiseSettings, seed: int, *purpose: str | int
) -> list[Example]:
    """Noise the sources of examples; which noise follows from seed, purpose and example's id."""
    return [
        replace(
            example,
            source=add_noise(
                example.source, settings, generator(seed, "noise", *purpose, example.id)
            ),
        )
        for example in examples
    ]


def add_noise(text: str, settings: NoiseSettings, draws: np.random.Generator) -> str:
    """Make a noised copy of a text; words are what spaces part, and one space parts them after."""
    words = [_swap(word, settings.swaps, draws) for word in text.split()]
    if not words:
        return text
    kept = draws.random(len(words)) >= settings.drops
    if not kept.any():
        kept[draws.integers(len(words))] = True
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


def _swap(word: str, chance: float, draws: np.random.Generator) -> str:
    characters = list(word)
    hits = draws.random(max(0, len(word) - 1)) < chance
    place = 0
    while place < len(hits):
        if hits[place]:
            pair = characters[place : place + 2]
            characters[place : place + 2] = pair[::-1]
            place += 1
        place += 1
    return "".join(characters)
