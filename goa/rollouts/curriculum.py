"""A curriculum: which sources are learnt from early, and which only later."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from goa.data.corpus import Corpus
from goa.settings import Settings


class CurriculumSettings(Settings):
    """Sources come in order of difficulty, ever more of them (Platanios et al., 2019)."""

    by: Literal["length", "spread"]
    """length: short sources first, in words; spread: those first whose candidates in the pool
    differ most in reward, and last those that are not in the pool."""
    start: float = Field(0.2, gt=0.0, le=1.0)
    """Share of the sources that the first round draws from."""
    rounds: int = Field(100, ge=1)
    """From then on all sources are drawn from; until then the share grows in a straight line."""


class Curriculum:
    """Says which sources a round may draw from."""

    def __init__(
        self, settings: CurriculumSettings, corpus: Corpus, spreads: Mapping[str, float]
    ) -> None:
        """Rank the sources of a corpus, which is read once.

        Args:
            settings: the order, and how fast it is gone through.
            corpus: N sources.
            spreads: spread of the rewards of a source's candidates in the pool, by its id.
        """
        self.settings = settings
        if settings.by == "length":
            keys = [float(len(example.source.split())) for example in corpus]
        else:
            keys = [-spreads.get(example.id, -1.0) for example in corpus]
        order = np.argsort(np.asarray(keys), kind="stable")
        self._ranks: npt.NDArray[np.int64] = np.empty(len(order), dtype=np.int64)
        self._ranks[order] = np.arange(len(order))

    def allows(self, position: int, index: int) -> bool:
        """Say whether round ``index`` may draw the source at this position of the corpus."""
        share = self.settings.start
        share += (1.0 - share) * min(1.0, index / self.settings.rounds)
        return bool(self._ranks[position] < max(1, round(share * len(self._ranks))))
