"""chrF and chrF++ (Popović, 2015 and 2017), as sacrebleu computes them."""

from typing import Literal

from pydantic import Field

from goa.evaluators.segments import SegmentEvaluator, sacrebleu_signature
from goa.settings import Settings


class ChrfSettings(Settings):
    """What chrF counts."""

    kind: Literal["chrf"] = "chrf"
    char_order: int = Field(default=6, ge=1, le=20)
    """Longest n-gram, in characters."""
    word_order: int = Field(default=0, ge=0, le=9)
    """Longest n-gram, in words; 2 makes it chrF++."""
    beta: int = Field(default=2, ge=1, le=10)
    """How many times as much recall weighs as precision."""
    lowercase: bool = False

    def build(self, name: str) -> "Chrf":
        """Build the evaluator."""
        return Chrf(name, self)


class Chrf(SegmentEvaluator):
    """chrF/100; works in every script. An empty candidate scores 0."""

    def __init__(self, name: str, settings: ChrfSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

        metric = CHRF(
            char_order=settings.char_order,
            word_order=settings.word_order,
            beta=settings.beta,
            lowercase=settings.lowercase,
        )
        super().__init__(name, metric, metric)
        self.num_statistics = 3 * (settings.char_order + settings.word_order)
        label = f"chrF{settings.beta}{'+' * settings.word_order}"
        self.signature = sacrebleu_signature(label, metric)
