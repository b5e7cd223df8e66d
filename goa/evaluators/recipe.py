"""What can be said of an evaluator before it is built."""

from typing import Literal

from goa.settings import Settings

Influence = Literal["references", "batch", "chance"]
"""What a score may hang on besides source and candidate. references: what people wrote for the
source; batch: the other samples of the same call; chance: draws, so that equal samples may have
different scores."""

NOTHING: frozenset[Influence] = frozenset()
REFERENCES: frozenset[Influence] = frozenset({"references"})


class Recipe(Settings):
    """Settings of an evaluator."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on; a kind that does not say otherwise reads references."""
        return REFERENCES
