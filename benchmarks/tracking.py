"""What MLflow costs a training: its own part of a stage, and the stage with and without it.

    python benchmarks/tracking.py PROJECT finetune@bleu [--repeats 3]

PROJECT is a copy of a project that has been run; nothing of it is kept. The stage is trained from
nothing, with the live publisher beside it and without, taking turns; medians. The store is the one
that PROJECT's params.yaml or MLFLOW_TRACKING_URI names.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from pipelines.live import LivePublisher

ROOT = Path(__file__).resolve().parent.parent
BEGINS_SECONDS = 20.0
"""In which the publisher has started, opened the store and made its runs."""
TIMED = """
import json, runpy, sys, time
from goa.tracking.spool import Spool
spent = records = 0
append = Spool._append
def timed(self, content):
    global spent, records
    start = time.perf_counter()
    append(self, content)
    spent += time.perf_counter() - start
    records += 1
Spool._append = timed
start = time.perf_counter()
_, report, *sys.argv = sys.argv
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=False)
with open(report, "w") as file:
    json.dump({"seconds": time.perf_counter() - start, "spool": spent, "records": records}, file)
"""
"""Runs a stage's module and tells how long its spool took."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("stage")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    kinds = {"alone": False, "with MLflow": True}
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(given.repeats):
        for kind, publishes in kinds.items():
            runs[kind].append(_train(given.project, given.stage, publishes=publishes))
    medians = {
        kind: {name: statistics.median(run[name] for run in found) for name in found[0]}
        for kind, found in runs.items()
    }
    _show(medians["alone"], medians["with MLflow"])


def _show(alone: dict[str, float], beside: dict[str, float]) -> None:
    seconds = beside["seconds"]
    print(f"training: {alone['seconds']:.1f} s alone, {seconds:.1f} s with MLflow; medians\n")
    print("| what | seconds | of the training |")
    print("| --- | ---: | ---: |")
    spool = beside["spool"]
    print(f"| {beside['records']:.0f} records spooled | {spool:.3f} | {spool / seconds:.3%} |")
    for name in ("to begin", "to follow"):
        print(
            f"| publisher's processor, {name} | {beside[name]:.2f} | {beside[name] / seconds:.1%} |"
        )
    more = seconds - alone["seconds"]
    print(f"| with MLflow, longer by | {more:.2f} | {more / alone['seconds']:.1%} |")


def _train(project: Path, stage: str, *, publishes: bool) -> dict[str, float]:
    """Train a stage from nothing; gives seconds by what took them."""
    for folder in ("checkpoints", "spool"):
        shutil.rmtree(project / ".goa" / folder, ignore_errors=True)
    if not publishes:
        return _stage(project, stage)
    with LivePublisher(project, f"benchmark {time.time()}"):
        (publisher,) = psutil.Process().children()
        begun = threading.Timer(BEGINS_SECONDS, lambda: times.append(_processor_seconds(publisher)))
        times: list[float] = []
        begun.start()
        spent = _stage(project, stage)
        times.append(_processor_seconds(publisher))
    begun.join()
    first, last = times
    return {**spent, "to begin": first, "to follow": last - first}


def _stage(project: Path, stage: str) -> dict[str, Any]:
    module, _, name = stage.partition("@")
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        argv = [sys.executable, "-c", TIMED, report.name, f"pipelines.{module}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = [*argv, *([name] if name else [])]
        subprocess.run(done, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.load(report)
        return found


def _processor_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    main()
