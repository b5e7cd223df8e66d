"""Random choices that come out the same on every machine and Python version."""

import random
from collections.abc import Sequence
from typing import TypeVar

from goa.randomness import derive_seed

Option = TypeVar("Option")

SKEW = 1.8
"""How much more often an early option is chosen than a late one; 1 would be evenly."""


class Dice:
    """Draws for one purpose; only ``random()`` is used, the one stream Python promises to keep."""

    def __init__(self, seed: int, *purpose: str | int) -> None:
        self._random = random.Random(derive_seed(seed, *purpose)).random

    def pick(self, options: Sequence[Option]) -> Option:
        """Pick one option, all equally likely."""
        return options[int(self._random() * len(options))]

    def prefer(self, options: Sequence[Option]) -> Option:
        """Pick one option, the earlier the likelier, as writers have favourite words."""
        return options[int(self._random() ** SKEW * len(options))]

    def chance(self, probability: float) -> bool:
        """Say yes with a probability."""
        return self._random() < probability

    def shuffled(self, options: Sequence[Option]) -> list[Option]:
        """Put the options in a random order."""
        return sorted(options, key=lambda _: self._random())
