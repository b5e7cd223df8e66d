"""What dvc.lock and the outputs on disk say about each finished stage, as records to publish."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goa.errors import DataError
from goa.tracking.cost import Cost, load_cost
from goa.tracking.records import Point, ServedModel, StageRun
from goa.tracking.spool import read_spool
from pipelines.lineage import lineage_tags

DATA = "out/data"
POLICIES, HISTORY, METRICS = "out/policies/", "out/history/", "metrics/"
COMPARISON, COSTS = "out/comparison", "out/costs"
KEPT = (METRICS, HISTORY, "out/evaluations/", "out/guards/", COMPARISON, COSTS)
"""Where the outputs lie that are small enough to be kept with the run."""
STEP_COLUMN = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One stage's entry in dvc.lock."""

    root: Path
    """The project's folder."""
    stage: str
    """Name in dvc.yaml."""
    entry: Mapping[str, Any]
    """As DVC wrote it: cmd, deps, params, outs."""

    @property
    def key(self) -> str:
        """Digest of the entry: the same command, inputs, parameters and outputs.

        What stages cost is a measurement, other in every run: it does not make another result.
        """
        entry = {
            name: [item for item in value if not item["path"].startswith(COSTS)]
            if name in ("deps", "outs")
            else value
            for name, value in self.entry.items()
        }
        return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()

    @property
    def params(self) -> dict[str, str]:
        """Resolved parameters by dotted name."""
        files = self.entry.get("params", {})
        return {name: text for values in files.values() for name, text in _flat_params(values)}

    def outputs(self, *prefixes: str) -> list[Path]:
        """List the outputs under one of these prefixes, relative to the project's folder."""
        paths = [out["path"] for out in self.entry.get("outs", [])]
        return [Path(path) for path in paths if path.startswith(prefixes)]

    def difference(self) -> str | None:
        """Say which output that would be published is not on disk as dvc.lock has it."""
        for out in self.entry.get("outs", []):
            path = self.root / out["path"]
            if out["path"].startswith((*KEPT, POLICIES)) and not _agrees(path, out):
                return f"{out['path']} is not what dvc.lock says; run dvc repro or dvc checkout"
        return None


def stage_run(result: Result, tags: Mapping[str, str]) -> StageRun:
    """Collect all that is recorded about a result.

    Raises:
        DataError: a metrics file or a history cannot be read.
    """
    rows = [row for path in result.outputs(HISTORY) for row in _history(result.root / path)]
    spool = _matching_spool(result, rows)
    records = read_spool(spool) if spool else []
    spooled = [spooled_point(record) for record in records if record["kind"] == "metrics"]
    times = {point.step: point.time for point in spooled}
    ended = max([_written(result), *(record["time"] for record in records)])
    curves = [Point(step=step, time=times.get(step, ended), values=row) for step, row in rows]
    policies = [result.root / path for path in result.outputs(POLICIES)]
    return StageRun(
        stage=result.stage,
        key=result.key,
        live_key=live_key(spool) if spool else None,
        params=result.params,
        metrics=final_metrics(result),
        history=[*curves, *spooled],
        artifacts=[
            *(result.root / path for path in result.outputs(*KEPT)),
            *(path for path in policies if _is_adapter(path)),
        ],
        model=_served(policies[0]) if policies and not _is_adapter(policies[0]) else None,
        datasets={
            dep["path"]: dep["md5"] for dep in result.entry.get("deps", []) if dep["path"] == DATA
        },
        tags={**tags, **lineage_tags(result.stage, result.entry, result.params)},
        started=records[0]["time"] if records else ended,
        ended=ended,
    )


def spooled_point(record: Mapping[str, Any]) -> Point:
    """Read a spool's record of metrics."""
    values = {name: value for name, value in record["values"].items() if name != STEP_COLUMN}
    return Point(step=record["step"], time=record["time"], values=values)


def live_key(spool: Path) -> str:
    """Name the run of a stage while it runs: the stage and its fingerprint."""
    return f"{spool.parent.name}/{spool.stem}"


def final_metrics(result: Result) -> dict[str, float]:
    """Read the metrics files of a result, flattened to dotted names, and its ``cost.*``.

    Raises:
        DataError: one is not JSON, or no cost.
    """
    found: dict[str, float] = {}
    for path in result.outputs(METRICS):
        try:
            found |= dict(_flat_numbers(json.loads((result.root / path).read_bytes())))
        except (ValueError, RecursionError, OverflowError) as error:
            raise DataError(f"{result.root / path}: not JSON: {error}") from None
    for path in result.outputs(COSTS):
        found |= _cost_metrics(load_cost(result.root / path))
    return found


def _cost_metrics(cost: Cost) -> dict[str, float]:
    measured = {
        "cost.seconds": cost.seconds,
        "cost.peak_memory": cost.peak_memory,
        "cost.peak_gpu_memory": cost.peak_gpu_memory,
        "cost.energy": cost.energy,
        **{
            f"cost.{name}.tokens_per_second": work.tokens / work.seconds
            for name, work in cost.work.items()
            if work.seconds > 0
        },
    }
    return {name: float(value) for name, value in measured.items() if value is not None}


def _history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Read (step, values) by row; empty cells are left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        try:
            return [
                (
                    int(row[STEP_COLUMN]),
                    {
                        name: float(cell)
                        for name, cell in row.items()
                        if cell and name != STEP_COLUMN
                    },
                )
                for row in rows
            ]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise DataError(
                f"{path}, line {rows.line_num}: expected a column {STEP_COLUMN!r} of integers "
                f"and numbers beside it: {error}"
            ) from None


def _matching_spool(result: Result, rows: Sequence[tuple[int, Mapping[str, float]]]) -> Path | None:
    """Find the newest spool that tells the same history: a cached result may have an older one."""
    folder = result.root / ".goa" / "spool" / result.stage
    spools = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path for path in spools if _tells(path, rows)), None)


def _tells(spool: Path, rows: Sequence[tuple[int, Mapping[str, float]]]) -> bool:
    told = {
        (record["step"], name): value
        for record in read_spool(spool)
        if record["kind"] == "metrics"
        for name, value in record["values"].items()
    }
    return all(
        math.isclose(told.get((step, name), math.inf), value, rel_tol=1e-6)
        for step, values in rows
        for name, value in values.items()
        if math.isfinite(value)
    )


def _written(result: Result) -> float:
    return max(
        ((result.root / out["path"]).stat().st_mtime for out in result.entry.get("outs", [])),
        default=0.0,
    )


def _agrees(path: Path, out: Mapping[str, Any]) -> bool:
    """Compare a file by content and a folder by count and size of its files, which is quick."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == out.get("md5")
    sizes = [child.stat().st_size for child in path.rglob("*") if child.is_file()]
    return bool(sizes) and (len(sizes), sum(sizes)) == (out.get("nfiles"), out.get("size"))


def _flat_params(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping) and (values or not name):
        for key, value in values.items():
            yield from _flat_params(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, values if isinstance(values, str) else json.dumps(values, default=str)


def _flat_numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Walk to every number; text, lists and nulls stay in the file that is kept with the run."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat_numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, int | float) and not isinstance(values, bool):
        yield name, float(values)


def _is_adapter(policy: Path) -> bool:
    """Say whether a policy is an adapter alone: no model to load, but small enough to be kept."""
    return (policy / "adapter_config.json").exists()


def _served(policy: Path) -> ServedModel:
    from pipelines import serving  # noqa: PLC0415 - brings in MLflow's servers, which takes seconds

    return ServedModel(
        policy=policy,
        code=Path(serving.__file__),
        packages=serving.packages(),
        signature=serving.signature(),
        input_example=serving.INPUT_EXAMPLE,
        requirements=serving.requirements(),
    )
