"""What kill -9 costs: a whole small run killed in every stage, finished, and held against another.

    python benchmarks/faults.py [--minutes 20] [--seed 1]

A project on the built-in corpus is run undisturbed. Then, round by round, it is run again from
nothing, stage by stage, and in every stage somebody is killed at a random moment: by turns the
stage itself, the DVC that started it, and `goa run`. After each kill nothing of the run may live
on. Then the whole graph is run to its end, and dvc.lock and every file under out/ and metrics/ must
be those of the undisturbed run, to the byte, but for what is measured: out/costs, and the
comparison, whose page shows them. No round begins after so many minutes.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
GOA = [sys.executable, "-m", "pipelines.cli", "run", "--no-publish"]
VICTIMS = ("stage", "dvc", "goa run")
MEASURED = ("out/costs", "out/comparison")
END_SECONDS = 60.0
"""How long processes may take to go when who started them is gone: a grace of ten, and load."""
STRATEGY = {"kind": "greedy", "max_tokens": 12}
PARAMS: dict[str, Any] = {
    "data": {"corpus": {"kind": "demo", "num_examples": 240}},
    "policy": {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "vocab_size": 300},
    "compute": {"threads": {"pretrain": 1, "generate": 1, "finetune": 1, "evaluate": 1}},
    "pretrain": {"epochs": 4, "validation": {"every": 2}},
    "generate": {"num_sources": 30},
    "evaluators": {"bleu": {"kind": "bleu"}},
    "controls": {"evaluators": ["bleu"], "arms": ["constant"]},
    "finetune": {
        "rounds": 20,
        "sources_per_round": 8,
        "candidates": {"kind": "sample", "num_candidates": 4, "max_tokens": 12},
        "validation": {"every": 5, "num_sources": 8},
        "guards": {},
    },
    "evaluate": {
        "strategies": {"greedy": STRATEGY},
        "baseline_strategies": {},
        "metrics": {"bleu": {"kind": "bleu"}},
    },
    "compare": {"resamples": 50, "num_examples": 3},
    "promotion": {"metric": "bleu", "guards": []},
}
REPLACED = ("evaluators", "strategies", "baseline_strategies", "metrics", "guards", "corpus")
"""Mappings by name: those of the project are not kept beside these."""


def main() -> None:
    """Print a line a kill, and the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draws, started = random.Random(given.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="goa-faults-") as folder:
        expected = Project(Path(folder) / "undisturbed")
        seconds = expected.finish()
        paces = expected.paces()
        print(f"undisturbed: {len(paces)} stages, {seconds:.0f} s", flush=True)
        kills: Counter[tuple[str, str]] = Counter()
        rounds = equal = 0
        while rounds == 0 or time.monotonic() - started < 60 * given.minutes:
            project = Project(Path(folder) / f"round-{rounds}", sources=expected.folder)
            for place, (stage, pace) in enumerate(paces.items()):
                victim = VICTIMS[(place + rounds) % len(VICTIMS)]
                if project.kill(stage, victim, draws.random() * pace):
                    kills[stage, victim] += 1
            project.finish()
            rounds += 1
            differing = list(differences(expected.folder, project.folder))
            equal += not differing
            print(f"round {rounds}: {', '.join(differing) or 'equal to the byte'}", flush=True)
            shutil.rmtree(project.folder)
    report(paces, kills)
    print(
        f"{rounds} rounds, {kills.total()} kills, {time.monotonic() - started:.0f} s: {equal} equal"
    )
    sys.exit(equal != rounds)


class Project:
    """A copy of the sources with parameters that run in seconds."""

    def __init__(self, folder: Path, sources: Path = ROOT) -> None:
        self.folder = folder
        for name in ("goa", "pipelines"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(sources / name, folder / name, ignore=ignored)
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(sources / name, folder)
        params = merged(yaml.safe_load((sources / "params.yaml").read_text()), PARAMS)
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def start(self, *stages: str) -> "subprocess.Popen[bytes]":
        """Start `goa run`, for some stages or for all."""
        environment = os.environ | {"PYTHONPATH": str(self.folder), "DVC_NO_ANALYTICS": "1"}
        with (self.folder.parent / "run.log").open("wb") as log:
            argv = [*GOA, *stages]
            return subprocess.Popen(argv, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def finish(self) -> float:
        """Run to the end; give the seconds."""
        started = time.monotonic()
        if self.start().wait() != 0:
            sys.exit((self.folder.parent / "run.log").read_text())
        return time.monotonic() - started

    def paces(self) -> dict[str, float]:
        """Give the seconds that each stage's command took, in the order in which they ended."""
        costs = sorted(
            (self.folder / "out/costs").glob("*.json"), key=lambda path: path.stat().st_mtime
        )
        paces = {path.stem: json.loads(path.read_text())["seconds"] for path in costs}
        return {**paces, "compare": 2.0}  # which writes no cost

    def kill(self, stage: str, victim: str, seconds: float) -> bool:
        """Run until a stage has worked for some seconds, and kill; False: it was quicker."""
        run = self.start(stage)
        while (found := self.process(stage)) is None:
            if run.poll() is not None:
                return False
            time.sleep(0.02)
        time.sleep(seconds)
        pids = {"stage": found, "dvc": parent_of(found), "goa run": run.pid}
        try:
            os.kill(pids[victim], signal.SIGKILL)
        except ProcessLookupError:
            run.wait()
            return False
        run.wait()
        deadline = time.monotonic() + END_SECONDS
        while alive := list(self.processes()):
            if time.monotonic() > deadline:
                sys.exit(f"{stage}: {victim} was killed, and these live on: {alive}")
            time.sleep(0.1)
        print(f"{stage}: {victim} killed after {seconds:.1f} s", flush=True)
        return True

    def process(self, stage: str) -> int | None:
        """Find the process of a stage's command."""
        group, _, name = stage.partition("@")
        module = {"control": "finetune", "evaluate_mle": "evaluate", "evaluate_control": "evaluate"}
        words = ["-m", f"pipelines.{module.get(group, group)}"]
        words += ["mle"] if group == "evaluate_mle" else [name] if name else []
        for pid, argv in self.processes():
            if argv[1 : 1 + len(words)] == words:
                return pid
        return None

    def processes(self) -> Iterator[tuple[int, list[str]]]:
        """List what runs in this folder."""
        for path in Path("/proc").iterdir():
            if not path.name.isdigit():
                continue
            try:
                if (path / "cwd").readlink() == self.folder:
                    yield int(path.name), (path / "cmdline").read_text().split("\0")
            except OSError:
                continue


def parent_of(pid: int) -> int:
    """Give a process's parent; the process itself where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return pid


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change some keys of nested mappings."""
    result = dict(base)
    for key, value in changes.items():
        inner = isinstance(value, dict) and isinstance(base.get(key), dict) and key not in REPLACED
        result[key] = merged(base[key], value) if inner else value
    return result


def differences(expected: Path, found: Path) -> Iterator[str]:
    """Name what is other in one project than in the other, but for what is measured."""
    if lock(expected) != lock(found):
        yield "dvc.lock"
    one, other = digests(expected), digests(found)
    yield from sorted(
        name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
    )


def lock(folder: Path) -> Any:
    """Read dvc.lock without what is measured."""
    content = yaml.safe_load((folder / "dvc.lock").read_text())
    for entry in content["stages"].values():
        for kind in ("deps", "outs"):
            entry[kind] = [
                item for item in entry.get(kind, []) if not item["path"].startswith(MEASURED)
            ]
    return content


def digests(folder: Path) -> dict[str, str]:
    """Digest every output but what is measured."""
    files = [path for top in ("out", "metrics") for path in (folder / top).rglob("*")]
    names = {path.relative_to(folder).as_posix(): path for path in files if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if not name.startswith(MEASURED)
    }


def report(stages: dict[str, float], kills: "Counter[tuple[str, str]]") -> None:
    """Print the kills of each stage."""
    print("| killed in | " + " | ".join(VICTIMS) + " |\n| --- | ---: | ---: | ---: |")
    for stage in stages:
        print(f"| {stage} | " + " | ".join(str(kills[stage, victim]) for victim in VICTIMS) + " |")


if __name__ == "__main__":
    main()
