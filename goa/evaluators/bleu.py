"""BLEU (Papineni et al., 2002), as sacrebleu computes it (Post, 2018)."""

from collections.abc import Callable, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from goa.evaluators.contract import BoolArray, Evaluator, FloatArray
from goa.evaluators.numbering import Numbering, WordNumbering, batches, lay_out
from goa.evaluators.overlap import Batch
from goa.evaluators.recipe import Recipe
from goa.evaluators.sacrebleu_signature import sacrebleu_signature
from goa.records import Sample, Scores

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


class BleuSettings(Recipe):
    """How BLEU counts and smooths."""

    kind: Literal["bleu"] = "bleu"
    max_order: int = Field(default=4, ge=1, le=9)
    """Longest n-gram, in tokens."""
    tokenizer: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    """sacrebleu's name; zh for Chinese, char for Japanese and other scripts without spaces."""
    lowercase: bool = False
    """Compare lower-cased texts."""
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


class Bleu(Evaluator):
    """BLEU/100: sentence BLEU as value, corpus BLEU (never with effective order) over many.

    An empty candidate scores 0. Tokens are sacrebleu's; what follows is counted a batch at a time,
    and agrees with ``sentence_score`` and ``corpus_score`` to the last bits of rounding.
    """

    def __init__(self, name: str, settings: BleuSettings) -> None:
        # Here, not above: checking settings should not wait for sacrebleu.
        from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415

        metric = BLEU(
            tokenize=settings.tokenizer,
            lowercase=settings.lowercase,
            smooth_method=settings.smoothing,
            smooth_value=settings.smoothing_value,
            max_ngram_order=settings.max_order,
        )
        self.name = name
        self.signature = sacrebleu_signature(
            "BLEU",
            metric,
            order=settings.max_order,
            sentence_eff="yes" if settings.effective_order else "no",
        )
        self._settings = settings
        default = BLEU.SMOOTH_DEFAULTS[settings.smoothing]
        self._smoothing_value = settings.smoothing_value or default or 0.0
        self._numbering = _make_numbering(settings, metric.tokenizer)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample by itself."""
        values = self._score(self.statistics(samples), self._settings.effective_order)
        return Scores(values=tuple(values.tolist()))

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give sacrebleu's segment statistics, [N, 2 + 2 max_order].

        Words of the candidate and of the reference closest in length (of two, the shorter);
        n-grams in common by order; n-grams of the candidate by order.
        """
        found = np.zeros((len(samples), 2 + 2 * self._settings.max_order))
        for rows, examples in batches(samples):
            found[rows] = self._count(lay_out(examples, self._numbering))
        return found

    def _count(self, batch: Batch) -> FloatArray:
        lengths, others = batch.candidate_lengths[:, None], batch.reference_lengths
        # The nearest first, then the shorter; references that are not there come last.
        order = np.where(others < 0, np.iinfo(np.int64).max, 2 * np.abs(others - lengths))
        nearest = np.argmin(order + (others > lengths), axis=1)
        overlaps = list(batch.overlaps(self._settings.max_order))
        columns = [
            batch.candidate_lengths,
            np.take_along_axis(others, nearest[:, None], axis=1)[:, 0],
            *(overlap.num_common_to_any for overlap in overlaps),
            *(overlap.num_candidate for overlap in overlaps),
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Score summed statistics [..., D] as sacrebleu's corpus score does, in [0, 1]."""
        return self._score(sums, effective_order=False)

    def _score(self, sums: FloatArray, effective_order: bool) -> FloatArray:
        max_order = self._settings.max_order
        length, wanted = sums[..., 0], sums[..., 1]
        common, total = sums[..., 2 : 2 + max_order].copy(), sums[..., 2 + max_order :].copy()
        scores = np.any(common > 0, axis=-1).astype(np.float64)
        if self._settings.smoothing == "add-k":
            common[..., 1:] += self._smoothing_value
            total[..., 1:] += self._smoothing_value
        counted = np.logical_and.accumulate(total > 0, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precisions = np.where(counted, self._smooth(common, counted) / total, 0.0)
            logs = np.where(counted, np.log(precisions), 0.0 if effective_order else -np.inf)
            orders = counted.sum(axis=-1) if effective_order else max_order
            means = np.exp(logs.sum(axis=-1) / orders)
            brevity = np.exp(1 - np.maximum(wanted / length, 1.0))
        return np.asarray(np.where(scores > 0, np.minimum(1.0, means * brevity), 0.0))

    def _smooth(self, common: FloatArray, counted: BoolArray) -> FloatArray:
        """Give counts that are 0 what the smoothing gives them."""
        missing = (common == 0) & counted
        if self._settings.smoothing == "exp":
            return np.asarray(np.where(missing, 0.5 ** np.cumsum(missing, axis=-1), common))
        if self._settings.smoothing == "floor":
            return np.asarray(np.where(missing, self._smoothing_value, common))
        return common


def _make_numbering(settings: BleuSettings, tokenizer: Callable[[str], str]) -> Numbering:
    """Give numbers to the tokens that a tokenizer of sacrebleu finds."""
    if settings.tokenizer == "13a":
        from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp  # noqa: PLC0415

        split: Callable[[str], str] = TokenizerRegexp()  # type: ignore[no-untyped-call]
        return WordNumbering(
            lambda text: _prepare_13a(_fold(text, settings)).split(),
            lambda word: [word] if word.isalnum() else split(f" {word} ").split(),
        )
    return WordNumbering(
        lambda text: tokenizer(_fold(text, settings).rstrip()).split(), lambda token: [token]
    )


def _fold(text: str, settings: BleuSettings) -> str:
    return text.lower() if settings.lowercase else text


def _prepare_13a(text: str) -> str:
    """Do what 13a does across words; the rest of it looks at each word by itself.

    Its patterns look one character to the left or right, and a space beside a word is as good as
    any other character that is neither digit nor punctuation.
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "")
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text
