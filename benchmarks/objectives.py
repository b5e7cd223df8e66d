"""Fine-tune one project under many settings of `finetune`, and measure each on the test split.

    python benchmarks/objectives.py PROJECT GRID RESULTS [--evaluator bleu] [--no-test]

PROJECT is a project folder whose `mle`, pool and rewards are up to date (`goa run generate score`).
GRID is a YAML mapping of a run's name to what it changes in the section `finetune`; besides, `seed`
sets the seed of fine-tuning, and `control` makes the run a control arm of that name. RESULTS gets
one JSON line a run: what fine-tuning and, unless left out, the test split say of it, its history,
and the median time of a round in seconds. Runs that it has already are left out, so that an
interrupted grid goes on. Every run has a folder of its own beside RESULTS, with the project's files
as links: the project stays as it is.
"""

import argparse
import csv
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from goa.arms import Arm, TrainedPolicy
from pipelines.arms import training_stage

CODE = Path(__file__).parent.parent.resolve()
INPUTS = (
    "out/data",
    "out/tokenizer",
    "out/policies/mle",
    "out/pool.parquet",
    "out/evaluators",
    "out/rewards",
)


def main() -> None:
    """Run what the grid names and the results lack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("grid", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--evaluator", default="bleu")
    parser.add_argument("--no-test", action="store_true", help="leave the test split out")
    options = parser.parse_args()
    grid = yaml.safe_load(options.grid.read_text(encoding="utf-8"))
    finished = _finished(options.results)
    for name, changes in grid.items():
        if name not in finished:
            folder = options.results.parent / "runs" / name
            policy = lay_out(folder, options.project.resolve(), changes, options.evaluator)
            found = measure(folder, policy, tests=not options.no_test)
            row = {"name": name, "changes": changes, **found}
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def lay_out(
    folder: Path, project: Path, changes: Mapping[str, Any], evaluator: str
) -> TrainedPolicy:
    """Make a project folder whose stages up to `score` are another project's; name its policy."""
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    for path in INPUTS:
        link(folder / path, project / path)
    for path in ("goa", "pipelines", "dvc.yaml"):
        link(folder / path, CODE / path)
    if not (folder / ".dvc").exists():
        run(folder, "dvc", "init", "--no-scm", "--quiet")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    changes = dict(changes)
    seed, control = changes.pop("seed", params["seeds"][0]), changes.pop("control", None)
    params["seeds"] = [seed]
    params["controls"] = {"evaluators": [evaluator], "arms": [control] if control else []}
    params["finetune"] = merged(params["finetune"], changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return TrainedPolicy(arm=Arm(evaluator=evaluator, control=control), seed=seed)


def link(path: Path, target: Path) -> None:
    """Point a link at a target, whatever it pointed at before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay changes over values, mapping by mapping; another `kind` replaces a whole mapping."""
    result = dict(values)
    for name, change in changes.items():
        before = values.get(name)
        nested = isinstance(change, dict) and isinstance(before, dict) and "kind" not in change
        result[name] = merged(before, change) if nested else change
    return result


def measure(folder: Path, policy: TrainedPolicy, *, tests: bool) -> dict[str, Any]:
    """Fine-tune and, if told, evaluate; a run that fails is a result, too."""
    started = time.monotonic()
    try:
        run(folder, "pipelines.finetune", policy.name)
    except subprocess.CalledProcessError as error:
        return {"failed": str(error.stderr).strip()[-500:]}
    found = {
        "seconds": round(time.monotonic() - started, 1),
        "seconds_per_round": round(seconds_per_round(folder, training_stage(policy)), 2),
        "finetune": json.loads((folder / f"metrics/finetune/{policy.name}.json").read_text()),
        "history": history(folder / f"out/history/{policy.name}.csv"),
    }
    if tests:
        run(folder, "pipelines.evaluate", policy.name)
        found["test"] = json.loads((folder / f"metrics/evaluate/{policy.name}.json").read_text())
    return found


def seconds_per_round(folder: Path, stage: str) -> float:
    """Give the median time from one round's end to the next's; some have a validation between."""
    paths = (folder / f".goa/spool/{stage}").glob("*.jsonl")
    path = max(paths, key=lambda path: path.stat().st_mtime)
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said = [(event["done"], event["time"]) for event in events if event["kind"] == "progress"]
    times = [
        float(after - before) / (done - so_far)
        for (so_far, before), (done, after) in itertools.pairwise(said)
        if done > so_far
    ]
    return float(statistics.median(times))


def history(path: Path) -> list[dict[str, float]]:
    """Read what was recorded at each look; what was not measured is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def run(folder: Path, *module: str) -> None:
    """Run a module with its arguments in a folder."""
    subprocess.run(
        [sys.executable, "-m", *module],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CODE)},
        check=True,
        capture_output=True,
        text=True,
    )


def _finished(results: Path) -> set[str]:
    if not results.exists():
        return set()
    return {json.loads(line)["name"] for line in results.read_text().splitlines()}


if __name__ == "__main__":
    main()
