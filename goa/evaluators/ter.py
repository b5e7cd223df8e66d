"""Translation edit rate (Snover et al., 2006), as sacrebleu computes it, turned upside down."""

from typing import Literal

from pydantic import Field

from goa.evaluators.segments import SegmentEvaluator, sacrebleu_signature
from goa.settings import Settings


class TerSettings(Settings):
    """How words are compared before edits are counted."""

    kind: Literal["ter"] = "ter"
    normalized: bool = False
    """Split punctuation from words first."""
    no_punct: bool = False
    """Leave punctuation out."""
    asian_support: bool = False
    """With normalized: each Chinese or Japanese character is a word."""
    case_sensitive: bool = False
    max_words: int = Field(default=200, ge=1)
    """Texts are cut to this many words: the search for shifts takes seconds beyond."""

    def build(self, name: str) -> "Ter":
        """Build the evaluator."""
        return Ter(name, self)


class Ter(SegmentEvaluator):
    """1 - min(1, edits / reference words): 1 without an edit, 0 from TER 100 on.

    Equals 1 - TER/100 of sacrebleu for sentence and corpus, as far as TER stays below 100 and texts
    stay below ``max_words`` words. Two empty texts score 1.
    """

    num_statistics = 2

    def __init__(self, name: str, settings: TerSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.ter import TER  # noqa: PLC0415

        metric = TER(
            normalized=settings.normalized,
            no_punct=settings.no_punct,
            asian_support=settings.asian_support,
            case_sensitive=settings.case_sensitive,
        )
        super().__init__(name, metric, metric)
        self._max_words = settings.max_words
        self.signature = sacrebleu_signature("1-TER", metric, max_words=settings.max_words)

    def _to_unit(self, percent: float) -> float:
        return 1 - min(1.0, percent / 100)

    def _preprocess(self, text: str) -> str:
        return " ".join(super()._preprocess(text).split()[: self._max_words])
