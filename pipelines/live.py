"""Running stages shown in MLflow, as far as they are.

:class:`LivePublisher` follows their spools in a process of its own, ``python -m
pipelines.live --root FOLDER --execution ID``, which ends when its standard input does, and so with
its parent. Whatever happens to it, no stage notices.
"""

import argparse
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from goa.errors import GoaError, TrackingError
from goa.tracking.machine import watch_machine
from goa.tracking.publisher import LiveRun, Publisher
from goa.tracking.spool import follow_spool
from goa.tracking.store import Store
from pipelines.lineage import git_tags
from pipelines.publish import project_store, sole_publisher, tracking_settings
from pipelines.results import live_key, spooled_point

POLL_SECONDS = 2.0
"""How often running stages' spools are looked at."""
RETRY_SECONDS = 30.0
"""How long the live publisher leaves a store alone that did not answer."""
STOP_SECONDS = 10.0
"""How long the live publisher may take to send what is left."""


class LivePublisher:
    """Shows running stages in MLflow, from another process; use it as a context manager."""

    def __init__(self, root: Path, execution: str) -> None:
        self._root = root.resolve()
        self._execution = execution
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LivePublisher":
        log = self._root / ".goa" / "logs" / "publish.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "pipelines.live", "--root", str(self._root)]
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
                with sole_publisher(self._root):
                    self._run(path).log(points)
            self._offsets[path] = offset

    def close(self) -> None:
        """Leave no run behind that looks as if somebody were still at work.

        Raises:
            TrackingError: the store does not answer.
        """
        if self._publisher is not None and self._pipeline_id:
            with sole_publisher(self._root):
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


def main() -> None:
    """Follow a run of the pipeline until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.live")
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
