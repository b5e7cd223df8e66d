"""Scoring files: any evaluator or metric over text that anybody wrote."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from goa.config import check
from goa.data.readers.samples import read_samples
from goa.errors import DataError, SettingsError
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import Evaluation, as_number, evaluate
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import Describing, MetricSettings, build_metric
from goa.records import Sample
from goa.settings import Settings, validate
from pipelines.choice import read_choice
from pipelines.scoring import open_scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """What is to be scored, and by what."""

    evaluators: Sequence[str]
    """Names in params.yaml, kinds, or settings as YAML: ``{kind: chrf, word_order: 2}``."""
    candidates: Path
    """Text, or JSON lines."""
    references: Sequence[Path]
    """Text; may be left out where candidates are JSON lines with references."""
    sources: Path | None
    """Text; for evaluators that look at it."""
    params: Path
    """Where evaluators are named; need not be there."""
    bootstrap: Bootstrap
    """Behind the intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScores:
    """What came of it."""

    samples: list[Sample]
    """In the order of the files."""
    evaluation: Evaluation
    """By every evaluator, and by the parts of each."""
    bootstrap: Bootstrap
    """Behind the intervals."""


def score_files(request: ScoreRequest) -> FileScores:
    """Score files.

    Raises:
        SettingsError: an evaluator is unknown, or its settings are wrong.
        DataError: a file cannot be read, or there is nothing in it.
        EvaluatorError: an evaluator cannot score a sample.
    """
    known, scoring = _known(request.params)
    chosen = dict(_resolve(text, known) for text in request.evaluators)
    samples = list(read_samples(request.candidates, request.references, request.sources))
    with open_scoring(scoring) as build:
        metrics = [
            build_metric(name, settings)
            if isinstance(settings, Describing)
            else build(name, settings)
            for name, settings in chosen.items()
        ]
        evaluation = evaluate(samples, metrics, request.bootstrap)
    return FileScores(samples=samples, evaluation=evaluation, bootstrap=request.bootstrap)


def describe(scores: FileScores) -> Iterator[str]:
    """Say every score, in the order of the evaluators: times 100, with interval and signature."""
    percent = 100 * scores.bootstrap.confidence
    for measurement in scores.evaluation.measurements.values():
        if measurement.score is None:
            yield f"{measurement.name}  does not apply to any of these samples"
        else:
            score, low, high = (
                "n/a" if value is None else f"{100 * value:.2f}"
                for value in (measurement.score, measurement.low, measurement.high)
            )
            yield f"{measurement.name}  {score}  [{low}, {high}] {percent:g}%"
        yield f"    {measurement.signature}"
    yield f"{len(scores.samples):,} candidates, {scores.bootstrap.resamples:,} bootstrap resamples"


def as_json(scores: FileScores) -> dict[str, Any]:
    """Lay every score out for another program; scores are in [0, 1]."""
    return {
        "candidates": len(scores.samples),
        "confidence": scores.bootstrap.confidence,
        "resamples": scores.bootstrap.resamples,
        "seed": scores.bootstrap.seed,
        "measures": [asdict(each) for each in scores.evaluation.measurements.values()],
    }


def write_each(path: Path, scores: FileScores) -> None:
    """Write a line of JSON for each candidate, in the order of the file: its scores by name.

    Raises:
        DataError: the file refuses.
    """
    columns = {name: values.tolist() for name, values in scores.evaluation.values.items()}
    try:
        with path.open("w", encoding="utf-8") as file:
            for row, sample in enumerate(scores.samples):
                found = {name: as_number(values[row]) for name, values in columns.items()}
                record = {"id": sample.example.id, "candidate": sample.candidate, "scores": found}
                file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def _known(params: Path) -> tuple[Mapping[str, MetricSettings], ScoringSettings]:
    """Read what params.yaml names, and how it asks; nothing where there is none."""
    if not params.exists():
        return {}, ScoringSettings(store=False)
    found = check(params)
    return found.evaluate.measured_by(found.evaluators), found.scoring


def _resolve(text: str, known: Mapping[str, MetricSettings]) -> tuple[str, MetricSettings]:
    """Find an evaluator by name, or by its kind, or by its settings in braces.

    Raises:
        SettingsError: there is no such name or kind, or the settings are wrong.
    """
    if text in known:
        return text, known[text]
    content = read_choice("--evaluator", text)
    kind = content.get("kind")
    try:
        return str(kind), validate(_OneEvaluator, {"evaluator": content}, "--evaluator").evaluator
    except SettingsError as error:
        names = f"; params.yaml names {', '.join(known)}" if known else ""
        raise SettingsError(f"{error}{names}") from None


class _OneEvaluator(Settings):
    evaluator: MetricSettings
