"""What every evaluator and every metric keeps to, and the one place that holds them to it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from goa import __version__
from goa.errors import EvaluatorError, excerpt
from goa.records import Example, Sample, Scores
from goa.settings import Settings

FloatArray = npt.NDArray[np.float64]

CACHED_TEXTS = 4096
"""How many references (or examples' references) an evaluator remembers the preparation of."""

_ROUNDING = 1e-9
"""How far a value may lie outside [0, 1] and still count as rounding."""


class Metric(ABC):
    """Measures a whole set of outputs from statistics that add up over segments.

    Statistics first, score second: one class gives the corpus score and, by summing the statistics
    of resampled segments, its bootstrap distribution.
    """

    name: str
    """What params.yaml calls it; unique within a run."""
    signature: str
    """The recipe: kind, settings and library versions, enough to compute the number again."""
    higher_is_better: bool = True
    """False only for descriptions that are neither good nor bad by themselves (length ratio)."""

    @abstractmethod
    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give each of N samples its D sufficient statistics, [N, D]."""

    @abstractmethod
    def corpus(self, sums: FloatArray) -> FloatArray:
        """Turn summed statistics [..., D] into scores [...]."""


class Evaluator(Metric):
    """Scores single samples in [0, 1]: usable as a reward, and as a metric.

    Unless a subclass knows better (BLEU does), the corpus score is the mean over the samples the
    evaluator applies to. Callers score through :func:`checked_score`.
    """

    @abstractmethod
    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score N samples; see :class:`goa.records.Scores`. Order is kept.

        Raises:
            EvaluatorError: a sample cannot be scored.
        """

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give the value, and whether there is one, of each sample: [N, 2]."""
        return applicable(checked_score(self, samples).values)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Average over the samples that have a value; nan where none has."""
        return ratio(sums)


def applicable(values: Sequence[float | None]) -> FloatArray:
    """Lay values out as statistics of a mean: [N, 2], the value (0 for None) and 1 or 0."""
    rows = [(0.0, 0.0) if value is None else (value, 1.0) for value in values]
    return as_statistics(rows, 2)


def as_statistics(rows: Sequence[Sequence[float]], num_statistics: int) -> FloatArray:
    """Make N rows of D statistics an array [N, D], no rows included."""
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), num_statistics)


def ratio(sums: FloatArray) -> FloatArray:
    """Divide the first of two summed statistics [..., 2] by the second; nan where that is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan))


def describe(settings: Settings, *libraries: str) -> str:
    """Write a signature: ``kind|setting:value|...|version:library-1.2.3,...``."""
    fields = settings.model_dump()
    kind = fields.pop("kind")
    pairs = [f"{key}:{_plain(value)}" for key, value in fields.items()]
    versions = [f"{library}-{_version(library)}" for library in libraries]
    return "|".join([kind, *pairs, f"version:{','.join(versions)}"])


def pair_samples(examples: Sequence[Example], candidates: Sequence[str]) -> list[Sample]:
    """Put candidate i beside example i.

    Raises:
        EvaluatorError: there are not as many candidates as examples.
    """
    if len(examples) != len(candidates):
        raise EvaluatorError(
            f"{len(candidates)} candidates for {len(examples)} examples: give one candidate for "
            "each example, repeating an example that has several"
        )
    return [
        Sample(example=example, candidate=candidate)
        for example, candidate in zip(examples, candidates, strict=True)
    ]


def checked_score(evaluator: Evaluator, samples: Sequence[Sample]) -> Scores:
    """Score N samples, equal ones once, and hold the evaluator to its contract.

    Raises:
        EvaluatorError: an example has no reference, or a column of the scores has not one entry a
            sample, or an entry is neither None nor a finite number in [0, 1] (values that rounding
            pushed out by 1e-9 at most are put back).
    """
    rows = {sample: row for row, sample in enumerate(dict.fromkeys(samples))}
    distinct = list(rows)
    for sample in distinct:
        if not sample.example.references:
            raise EvaluatorError(f"evaluator {evaluator.name}: {_show(sample)} has no reference")
    scores = evaluator.score(distinct)
    order = [rows[sample] for sample in samples]

    def lay_out(column: Sequence[float | None], of: str) -> tuple[float | None, ...]:
        checked = _check_column(column, distinct, f"evaluator {evaluator.name}{of}")
        return tuple(checked[row] for row in order)

    return Scores(
        values=lay_out(scores.values, ""),
        parts={part: lay_out(column, f", {part}") for part, column in scores.parts.items()},
    )


def _check_column(
    column: Sequence[float | None], samples: Sequence[Sample], who: str
) -> list[float | None]:
    if len(column) != len(samples):
        raise EvaluatorError(f"{who}: gave {len(column)} scores for {len(samples)} samples")
    return [
        value if value is None else _check_value(value, sample, who)
        for value, sample in zip(column, samples, strict=True)
    ]


def _check_value(value: float, sample: Sample, who: str) -> float:
    if not math.isfinite(value) or not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise EvaluatorError(f"{who}: gave {value!r}, which is not in [0, 1], to {_show(sample)}")
    return min(1.0, max(0.0, value))


def _show(sample: Sample) -> str:
    return f"example {sample.example.id!r}, candidate {excerpt(sample.candidate, 80)!r}"


def _version(library: str) -> str:
    # goa also runs from a source tree that was never installed.
    return __version__ if library == "goa" else version(library)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
