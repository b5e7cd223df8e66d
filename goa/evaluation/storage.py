"""One policy's evaluation on disk: numbers, statistics and outputs.

::

    evaluation.json    every score, interval and signature; the settings behind each metric;
                       how sure the policy is of the references' tokens
    statistics.npz     "<strategy>/<metric>/statistics" [N, D], for resampling without the texts,
                       and "<strategy>/<metric>/values" [N], the score of each output by itself
    outputs.jsonl      one example a line: id, source, references, the output of each strategy
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from goa.errors import DataError
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import Evaluation, Measurement, Part
from goa.evaluation.peakiness import Peakiness
from goa.evaluators.contract import Evaluator, FloatArray, Metric
from goa.evaluators.table import MetricSettings, build_metric
from goa.records import Example

NOISED = "_noised"
"""Behind a strategy's name: what it writes for noised sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEvaluation:
    """One policy's outputs on a test set, under every strategy, measured."""

    policy: str
    """What params.yaml calls it: "mle", or the evaluator it was trained on."""
    bootstrap: Bootstrap
    """How the intervals were made."""
    metrics: Mapping[str, MetricSettings]
    """Settings of every metric, by name."""
    examples: tuple[Example, ...]
    """[N] the test set."""
    outputs: Mapping[str, tuple[str, ...]]
    """By strategy: [N] texts."""
    evaluations: Mapping[str, Evaluation]
    """By strategy."""
    peakiness: Peakiness | None = None
    """Over the first reference of each example; None where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """Layout of evaluation.json."""

    policy: str
    num_examples: int
    bootstrap: Bootstrap
    metrics: Mapping[str, MetricSettings]
    strategies: Mapping[str, Mapping[str, Measurement]]
    peakiness: Peakiness | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Layout of a line of outputs.jsonl."""

    id: str
    source: str
    references: tuple[str, ...]
    outputs: Mapping[str, str]


# np.load gives a bare array, which is no context, for a file of another kind: TypeError. A header
# may promise more than memory holds, or a way to compress or encrypt that zipfile does not know.
_NO_ARRAYS = (
    ValueError,
    EOFError,
    OSError,
    TypeError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
_NUMBERS = TypeAdapter(_Numbers)
_ROW = TypeAdapter(_Row)


def rebuild_metric(evaluation: PolicyEvaluation, name: str) -> Metric:
    """Build the metric behind a measurement again, from the settings it was made with.

    Raises:
        DataError: the settings of the metric were not recorded.
    """
    whole, _, part = name.partition(".")
    if whole not in evaluation.metrics:
        raise DataError(f"evaluation of {evaluation.policy}: no settings for metric {name!r}")
    metric = build_metric(whole, evaluation.metrics[whole])
    return Part(metric, part) if part and isinstance(metric, Evaluator) else metric


def save_evaluation(folder: Path, evaluation: PolicyEvaluation) -> None:
    """Write an evaluation into a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = _Numbers(
        policy=evaluation.policy,
        num_examples=len(evaluation.examples),
        bootstrap=evaluation.bootstrap,
        metrics=evaluation.metrics,
        strategies={name: found.measurements for name, found in evaluation.evaluations.items()},
        peakiness=evaluation.peakiness,
    )
    (folder / "evaluation.json").write_bytes(_NUMBERS.dump_json(numbers, indent=2) + b"\n")
    arrays = {
        f"{strategy}/{metric}/{kind}": rows
        for strategy, found in evaluation.evaluations.items()
        for kind, columns in (("statistics", found.statistics), ("values", found.values))
        for metric, rows in columns.items()
    }
    np.savez_compressed(folder / "statistics.npz", allow_pickle=False, **arrays)
    with (folder / "outputs.jsonl").open("w", encoding="utf-8") as stream:
        for place, example in enumerate(evaluation.examples):
            row = {
                "id": example.id,
                "source": example.source,
                "references": example.references,
                "outputs": {name: texts[place] for name, texts in evaluation.outputs.items()},
            }
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def load_evaluation(folder: Path) -> PolicyEvaluation:
    """Read back what :func:`save_evaluation` wrote.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others; the path is named.
    """
    numbers = _read_numbers(folder / "evaluation.json")
    rows = _read_rows(folder / "outputs.jsonl", numbers)
    arrays = _Arrays(folder / "statistics.npz", numbers.num_examples)
    return PolicyEvaluation(
        policy=numbers.policy,
        bootstrap=numbers.bootstrap,
        metrics=numbers.metrics,
        examples=tuple(
            Example(id=row.id, source=row.source, references=row.references) for row in rows
        ),
        outputs={name: tuple(row.outputs[name] for row in rows) for name in numbers.strategies},
        evaluations={
            strategy: Evaluation(
                measurements=measurements,
                statistics={name: arrays.take(strategy, name, 2) for name in measurements},
                values={name: arrays.take(strategy, name, 1) for name in measurements},
            )
            for strategy, measurements in numbers.strategies.items()
        },
        peakiness=numbers.peakiness,
    )


def _read_numbers(path: Path) -> _Numbers:
    try:
        return _NUMBERS.validate_json(_read_bytes(path), strict=True)
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from None


def _read_rows(path: Path, numbers: _Numbers) -> list[_Row]:
    rows = []
    for place, line in enumerate(_read_bytes(path).splitlines(), start=1):
        try:
            row = _ROW.validate_json(line, strict=True)
        except ValidationError as error:
            raise _damaged(path, f"line {place}: {_first_problem(error)}") from None
        if missing := numbers.strategies.keys() - row.outputs.keys():
            raise _damaged(path, f"line {place}: no output for strategy {min(missing)!r}")
        rows.append(row)
    if len(rows) != numbers.num_examples:
        raise _damaged(path, f"{len(rows)} examples where {numbers.num_examples} were measured")
    return rows


class _Arrays:
    """The content of statistics.npz, given out where it has the right shape."""

    def __init__(self, path: Path, num_examples: int) -> None:
        self._path = path
        self._num_examples = num_examples
        content = io.BytesIO(_read_bytes(path))
        try:
            with np.load(content, allow_pickle=False) as arrays:
                self._found = {key: arrays[key] for key in arrays.files}
        except _NO_ARRAYS as error:
            raise _damaged(path, str(error)) from None

    def take(self, strategy: str, metric: str, num_dimensions: int) -> FloatArray:
        key = f"{strategy}/{metric}/{'statistics' if num_dimensions == 2 else 'values'}"
        rows = self._found.get(key)
        if rows is None or rows.ndim != num_dimensions or len(rows) != self._num_examples:
            found = "nothing" if rows is None else f"shape {rows.shape}"
            raise _damaged(self._path, f"{key}: expected {self._num_examples} rows, found {found}")
        return np.asarray(rows, dtype=np.float64)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _damaged(path, error.strerror or "cannot be read") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def _damaged(path: Path, problem: str) -> DataError:
    stage = f"evaluate the policy {path.parent.name!r} again"
    return DataError(f"{path}: not a usable part of an evaluation: {problem}; {stage}")
