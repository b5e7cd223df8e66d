"""BLEU (Papineni et al., 2002), as sacrebleu computes it (Post, 2018)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from goa.evaluators.segments import SegmentEvaluator, sacrebleu_signature
from goa.settings import Settings


class BleuSettings(Settings):
    """How BLEU counts and smooths."""

    kind: Literal["bleu"] = "bleu"
    max_order: int = Field(default=4, ge=1, le=9)
    """Longest n-gram, in tokens."""
    tokenizer: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    """sacrebleu's name; zh for Chinese, char for Japanese and other scripts without spaces."""
    lowercase: bool = False
    smoothing: Literal["exp", "floor", "add-k", "none"] = "exp"
    """sacrebleu's name (Chen and Cherry, 2014)."""
    smoothing_value: float | None = Field(default=None, gt=0, le=1)
    """For floor (default 0.1) and add-k (default 1) only."""
    effective_order: bool = True
    """For single sentences: leave out n-gram orders for which the candidate is too short."""

    @model_validator(mode="after")
    def _check_smoothing_value(self) -> Self:
        if self.smoothing_value is not None and self.smoothing not in ("floor", "add-k"):
            raise ValueError(
                f"smoothing_value has no meaning for smoothing {self.smoothing}; leave it out, or "
                "choose floor or add-k"
            )
        return self

    def build(self, name: str) -> "Bleu":
        """Build the evaluator."""
        return Bleu(name, self)


class Bleu(SegmentEvaluator):
    """BLEU/100: sentence BLEU as value, corpus BLEU (never with effective order) over many.

    An empty candidate scores 0.
    """

    def __init__(self, name: str, settings: BleuSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415

        def make(*, effective_order: bool) -> BLEU:
            return BLEU(
                tokenize=settings.tokenizer,
                lowercase=settings.lowercase,
                smooth_method=settings.smoothing,
                smooth_value=settings.smoothing_value,
                max_ngram_order=settings.max_order,
                effective_order=effective_order,
            )

        super().__init__(
            name, make(effective_order=settings.effective_order), make(effective_order=False)
        )
        self.num_statistics = 2 + 2 * settings.max_order
        self.signature = sacrebleu_signature(
            "BLEU",
            self._corpus,
            order=settings.max_order,
            sentence_eff="yes" if settings.effective_order else "no",
        )
