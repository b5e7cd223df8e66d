"""What every evaluator and every metric keeps to, and the one place that holds them to it."""

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from goa import __version__
from goa.errors import EvaluatorError, excerpt, first_line
from goa.records import Example, Sample, Scores
from goa.settings import Settings

if TYPE_CHECKING:
    from goa.evaluators.learning import LearningEvaluator

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CACHED_TEXTS = 4096
"""Of how many texts an evaluator remembers what was prepared, or counted, for them."""

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

    reads_batch: bool = False
    """Whether a score hangs on the other samples of the same call, and on how often one occurs."""
    draws: bool = False
    """Whether equal samples may have different scores: the evaluator draws at random."""

    @abstractmethod
    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score N samples; see :class:`goa.records.Scores`. Order is kept.

        Raises:
            EvaluatorError: a sample cannot be scored.
        """

    def learners(self) -> "Sequence[LearningEvaluator]":
        """Give what in it learns from candidates, and so has to before it can score."""
        return []

    def begin(self, samples: Sequence[Sample]) -> Callable[[], Scores]:
        """Begin to score N samples; the function that is given finishes, and gives the scores.

        What scores elsewhere than in this thread is at work in between.
        """
        return lambda: self.score(samples)

    @property
    def averages(self) -> bool:
        """Say whether the corpus score is the mean of the samples' scores."""
        return type(self).statistics is Evaluator.statistics

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


def describe(settings: Settings, *libraries: str, without: Collection[str] = ()) -> str:
    """Write a signature: ``kind|setting:value|...|version:library-1.2.3,...``.

    Args:
        settings: the recipe; those within another's have no kind.
        libraries: whose versions belong to it.
        without: settings that say nothing here, or are told apart from it.
    """
    fields = settings.model_dump(exclude=set(without))
    kind = [fields.pop("kind")] if "kind" in fields else []
    pairs = [f"{key}:{_plain(value)}" for key, value in fields.items()]
    versions = [f"{library}-{_version(library)}" for library in libraries]
    return "|".join([*kind, *pairs, f"version:{','.join(versions)}"])


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
    """Score N samples and hold the evaluator to its contract; equal ones are scored once.

    Evaluators that read the batch, or draw, see every sample.

    Raises:
        EvaluatorError: an example has no reference, or the evaluator fails, or a column of the
            scores has not one entry a sample, or an entry is neither None nor a finite number in
            [0, 1] (values that rounding pushed out by 1e-9 at most are put back).
    """
    return begin_score(evaluator, samples)()


def begin_score(evaluator: Evaluator, samples: Sequence[Sample]) -> Callable[[], Scores]:
    """Begin what :func:`checked_score` does; the function that is given finishes it."""
    if evaluator.reads_batch or evaluator.draws:
        distinct, order = list(samples), list(range(len(samples)))
    else:
        distinct, order = _distinct(samples)
    for sample in distinct:
        if not sample.example.references:
            raise EvaluatorError(f"evaluator {evaluator.name}: {show(sample)} has no reference")
    finish = evaluator.begin(distinct)

    def give() -> Scores:
        scores = _checked(evaluator, distinct, finish)
        return Scores(
            values=tuple(scores.values[row] for row in order),
            parts={
                part: tuple(column[row] for row in order) for part, column in scores.parts.items()
            },
        )

    return give


def _distinct(samples: Sequence[Sample]) -> tuple[list[Sample], list[int]]:
    """List each sample once, and say where each of all samples stands in that list."""
    distinct: list[Sample] = []
    order: list[int] = []
    by_identity: dict[int, dict[str, int]] = {}  # an example is hashed once, not for each candidate
    by_example: dict[Example, dict[str, int]] = {}
    for sample in samples:
        rows = by_identity.get(id(sample.example))
        if rows is None:
            rows = by_example.setdefault(sample.example, {})
            by_identity[id(sample.example)] = rows
        row = rows.setdefault(sample.candidate, len(distinct))
        if row == len(distinct):
            distinct.append(sample)
        order.append(row)
    return distinct, order


def show(sample: Sample) -> str:
    """Name a sample in a message."""
    return f"example {sample.example.id!r}, candidate {excerpt(sample.candidate, 80)!r}"


def _checked(
    evaluator: Evaluator, samples: Sequence[Sample], finish: Callable[[], Scores]
) -> Scores:
    try:
        scores = finish()
    except EvaluatorError:
        raise
    except Exception as error:
        told = [f"{type(error).__name__}: {first_line(error)}", *getattr(error, "__notes__", ())]
        raise EvaluatorError(
            f"evaluator {evaluator.name}: {_culprit(evaluator, samples)}: {' '.join(told)}"
        ) from error

    def check(column: Sequence[float | None], of: str) -> tuple[float | None, ...]:
        return tuple(_check_column(column, samples, f"evaluator {evaluator.name}{of}"))

    return Scores(
        values=check(scores.values, ""),
        parts={part: check(column, f", {part}") for part, column in scores.parts.items()},
    )


def _culprit(evaluator: Evaluator, samples: Sequence[Sample]) -> str:
    """Find the sample that a failing evaluator fails on by itself, halving the batch."""
    suspects = [] if evaluator.reads_batch else list(samples)
    while len(suspects) > 1:
        half = suspects[: len(suspects) // 2]
        suspects = half if _fails(evaluator, half) else suspects[len(half) :]
    if suspects and _fails(evaluator, suspects):
        return show(suspects[0])
    return f"a batch of {len(samples)} samples"


def _fails(evaluator: Evaluator, samples: Sequence[Sample]) -> bool:
    try:
        evaluator.score(samples)
    except Exception:  # the error of the whole batch is the one that is told
        return True
    return False


def _check_column(
    column: Sequence[float | None], samples: Sequence[Sample], who: str
) -> list[float | None]:
    if len(column) != len(samples):
        raise EvaluatorError(f"{who}: gave {len(column)} scores for {len(samples)} samples")
    if all(type(value) is float and 0 <= value <= 1 for value in column):
        return list(column)  # the same as below, for what nearly always comes, in less time
    return [
        value if value is None else _check_value(value, sample, who)
        for value, sample in zip(column, samples, strict=True)
    ]


def _check_value(value: float, sample: Sample, who: str) -> float:
    if not isinstance(value, numbers.Real):
        raise EvaluatorError(f"{who}: gave {excerpt(repr(value))}, no number, to {show(sample)}")
    if not math.isfinite(value) or not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise EvaluatorError(f"{who}: gave {value!r}, which is not in [0, 1], to {show(sample)}")
    return min(1.0, max(0.0, float(value)))


def _version(library: str) -> str:
    # goa also runs from a source tree that was never installed.
    return __version__ if library == "goa" else version(library)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
