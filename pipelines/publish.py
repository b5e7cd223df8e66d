"""Publish a project's results to MLflow: while stages run, and again, completely, at the end.

:func:`publish` needs nothing but dvc.lock and the outputs, so it can be repeated at any time: after
an outage, on another machine, for stages that came out of DVC's cache.

:class:`LivePublisher` follows the spools of running stages in a process of its own,
``python -m pipelines.publish --root FOLDER --execution ID``, which ends when its standard input
does, and so with its parent. Whatever happens to it, no stage notices.
"""

import argparse
import fcntl
import hashlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from goa.errors import GoaError, TrackingError
from goa.settings import read_yaml, validate
from goa.tracking.machine import watch_machine
from goa.tracking.publisher import EXECUTION, LOCK_HASH, LiveRun, Publisher
from goa.tracking.records import StageRun
from goa.tracking.settings import TrackingSettings
from goa.tracking.spool import follow_spool
from goa.tracking.store import Store, connect, find_store
from pipelines.graph import lock_entries, read_graph
from pipelines.results import (
    COMPARISON,
    Result,
    final_metrics,
    git_tags,
    live_key,
    spooled_point,
    stage_run,
)

POLL_SECONDS = 2.0
"""How often running stages' spools are looked at."""
RETRY_SECONDS = 30.0
"""How long the live publisher leaves a store alone that did not answer."""
STOP_SECONDS = 10.0
"""How long the live publisher may take to send what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSummary:
    """What publishing did."""

    uri: str
    """The store, without secrets."""
    pipeline_id: str
    """The MLflow run of the pipeline's execution."""
    page: str | None
    """Where to look at it; None where no server shows it."""
    added: tuple[str, ...]
    """Stages whose result was recorded."""
    known: tuple[str, ...]
    """Stages whose result was in the store already, now linked to this execution too."""
    skipped: Mapping[str, str]
    """Stages that could not be recorded, and why."""


def project_store(root: Path) -> Store:
    """Find where the runs of a project are recorded.

    Raises:
        SettingsError: the section ``tracking`` of params.yaml cannot be used.
    """
    return find_store(root, tracking_settings(root).experiment)


def tracking_settings(root: Path) -> TrackingSettings:
    """Read the section ``tracking`` of params.yaml.

    Raises:
        SettingsError: it cannot be used.
    """
    path = root / "params.yaml"
    content = read_yaml(path).get("tracking", {}) if path.exists() else {}
    return validate(TrackingSettings, content, f"{path}, tracking")


def initialise_store(root: Path) -> None:
    """Make the project's tracking database; call it before processes fan out.

    Raises:
        TrackingError: the store does not answer or cannot be made.
    """
    connect(project_store(root))


def publish(root: Path, execution: str | None = None) -> PublishSummary:
    """Record every result of dvc.lock, under the run of a pipeline execution.

    Args:
        root: the project's folder.
        execution: given by whoever ran the stages; without it, the execution that published the
            same dvc.lock before, else one named after dvc.lock.

    Raises:
        TrackingError: the store does not answer; run it again later, nothing is lost or doubled.
        GoaError: dvc.yaml or an output cannot be read.
    """
    root = root.resolve()
    store = project_store(root)
    results = _results(root)
    tags = {LOCK_HASH: _lock_hash(root), **git_tags(root)}
    execution = _remember(root, execution, tags[LOCK_HASH])
    added, known, skipped = [], [], {}
    with _sole_publisher(root):
        publisher = Publisher(store)
        pipeline_id = publisher.open_pipeline(tags, execution)
        for result in results:
            if publisher.link(result.stage, result.key, pipeline_id):
                known.append(result.stage)
            elif difference := result.difference():
                skipped[result.stage] = difference
            else:
                publisher.publish(stage_run(result, tags), pipeline_id)
                added.append(result.stage)
        publisher.close_pipeline(pipeline_id, _summary(root, results, tags))
    return PublishSummary(
        uri=store.shown,
        pipeline_id=pipeline_id,
        page=publisher.page(pipeline_id),
        added=tuple(added),
        known=tuple(known),
        skipped=skipped,
    )


class LivePublisher:
    """Shows running stages in MLflow, from another process; use it as a context manager."""

    def __init__(self, root: Path, execution: str) -> None:
        self._root = root.resolve()
        self._execution = execution
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LivePublisher":
        log = self._root / ".goa" / "logs" / "publish.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "pipelines.publish", "--root", str(self._root)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*argv, "--execution", self._execution],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt from the keyboard is not for it
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


Watch = Callable[[Store, str, Sequence[str] | None], None]
"""Told of each run that is begun, by its id, and which GPUs it has; None: not known."""


class Follower:
    """Sends what spools say from now on to provisional runs."""

    def __init__(self, root: Path, execution: str, watch: Watch | None = None) -> None:
        self._root = root
        self._execution = execution
        self._watch = watch
        self._publisher: Publisher | None = None
        self._pipeline_id = ""
        self._runs: dict[Path, LiveRun] = {}
        self._gpus: dict[Path, Sequence[str]] = {}
        self._offsets = {path: path.stat().st_size for path in self._spools()}

    def poll(self) -> None:
        """Send new metrics.

        Raises:
            TrackingError: the store does not answer; the next call sends the same again.
        """
        for path in self._spools():
            records, offset = follow_spool(path, self._offsets.get(path, 0))
            named = [record["names"] for record in records if record["kind"] == "gpus"]
            if named:
                self._gpus[path] = named[-1]
            points = [spooled_point(record) for record in records if record["kind"] == "metrics"]
            if points:
                with _sole_publisher(self._root):
                    self._run(path).log(points)
            self._offsets[path] = offset

    def close(self) -> None:
        """Leave no run behind that looks as if somebody were still at work.

        Raises:
            TrackingError: the store does not answer.
        """
        if self._publisher is not None and self._pipeline_id:
            with _sole_publisher(self._root):
                self._publisher.suspend(self._pipeline_id)

    def _run(self, path: Path) -> LiveRun:
        if self._publisher is None:
            self._publisher = Publisher(project_store(self._root))
            self._pipeline_id = self._publisher.open_pipeline(git_tags(self._root), self._execution)
        if path not in self._runs:
            run = self._publisher.open_live(path.parent.name, live_key(path), self._pipeline_id)
            self._runs[path] = run
            if self._watch is not None:
                self._watch(project_store(self._root), run.run_id, self._gpus.get(path))
        return self._runs[path]

    def _spools(self) -> Iterator[Path]:
        return (self._root / ".goa" / "spool").glob("*/*.jsonl")


def follow(follower: Follower, stop: IO[Any]) -> None:
    """Poll until ``stop`` can be read or is closed, and once more after that."""
    silenced_until = 0.0
    reported = False
    stopping = False
    while not stopping:
        stopping = bool(select.select([stop], [], [], POLL_SECONDS)[0])
        if time.monotonic() < silenced_until and not stopping:
            continue
        try:
            follower.poll()
        except TrackingError as error:
            silenced_until = time.monotonic() + RETRY_SECONDS
            if not reported:
                sys.stderr.write(f"{error}\n")
                sys.stderr.flush()
            reported = True


def _results(root: Path) -> list[Result]:
    """List the results of the stages that dvc.yaml has now, in running order."""
    entries = lock_entries(root)
    names = [name for name in read_graph(root).stages if name in entries]
    return [Result(root=root, stage=name, entry=entries[name]) for name in names]


def _lock_hash(root: Path) -> str:
    lock = root / "dvc.lock"
    return hashlib.sha256(lock.read_bytes() if lock.exists() else b"").hexdigest()


def _remember(root: Path, execution: str | None, lock_hash: str) -> str | None:
    """Note which execution dvc.lock is of; without one, give what was noted for this dvc.lock.

    So publishing after an outage completes the run that the outage interrupted.
    """
    note = root / ".goa" / "execution.json"
    if execution is not None:
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({LOCK_HASH: lock_hash, EXECUTION: execution}))
        return execution
    noted = json.loads(note.read_bytes()) if note.exists() else {}
    return noted[EXECUTION] if noted.get(LOCK_HASH) == lock_hash else None


def _summary(root: Path, results: list[Result], tags: Mapping[str, str]) -> StageRun:
    """Record of the whole execution: dvc.lock, all parameters, and the comparison."""
    compared = [
        result for result in results if result.outputs(COMPARISON) and not result.difference()
    ]
    return StageRun(
        stage="pipeline",
        key=tags[LOCK_HASH],
        params={name: text for result in results for name, text in result.params.items()},
        metrics={
            name: value for result in compared for name, value in final_metrics(result).items()
        },
        artifacts=[
            *(path for path in [root / "dvc.lock"] if path.exists()),
            *(root / path for result in compared for path in result.outputs(COMPARISON)),
        ],
        started=time.time(),
        ended=time.time(),
    )


@contextmanager
def _sole_publisher(root: Path) -> Iterator[None]:
    """Let one process at a time look for runs and make those that are missing."""
    (root / ".goa").mkdir(exist_ok=True)
    with (root / ".goa" / "publish.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Follow a run of the pipeline until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.publish")
    parser.add_argument("--root", type=Path, required=True, help="the project's folder")
    parser.add_argument("--execution", required=True, help="name of the pipeline's execution")
    given = parser.parse_args()
    try:
        watch = watch_machine if tracking_settings(given.root).system_metrics else None
        follower = Follower(given.root, given.execution, watch)
        follow(follower, sys.stdin)
        follower.close()
    except GoaError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
