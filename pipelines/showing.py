"""What a flow shows in Prefect while and after its stages run: logs, progress, tables."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from goa.report.comparison import load_comparison
from goa.report.markdown import render_markdown
from pipelines.display import Gauge
from pipelines.execution import log_path
from pipelines.graph import lock_entries
from pipelines.results import COMPARISON, Result, final_metrics

POLL_SECONDS = 2.0
"""How often a running stage's log and progress are looked at."""
HINTS = (
    "To track the changes with git",
    "To enable auto staging",
    "\tgit add",
    "\tdvc config core.",
)
"""Beginnings of what DVC says after each stage to people who commit by hand."""
LINES_PER_POLL = 200
"""Lines of a log that are sent at a time, at most; the log itself has all."""


@contextlib.asynccontextmanager
async def followed(name: str, root: Path, logger: Any) -> AsyncIterator[None]:
    """Send a stage's log and progress to Prefect while the body runs it."""
    follower = _Follower(name, root, logger)
    following = asyncio.create_task(follower.follow())
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        follower.send_log()


async def show_stages(states: Mapping[str, str], seconds: Mapping[str, float]) -> None:
    """Leave a table of how each stage ended."""
    rows = [
        {"stage": name, "state": state, "seconds": round(seconds.get(name, 0.0), 1)}
        for name, state in states.items()
    ]
    await acreate_table_artifact(rows, key="stages", description="How each stage ended.")


async def show_results(root: Path, stages: Collection[str]) -> None:
    """Leave the metrics of the stages of a run, and the comparison, if it is one of them."""
    rows = [
        {"stage": stage, "metric": name, "value": value}
        for stage, entry in lock_entries(root).items()
        if stage in stages
        for name, value in _metrics(Result(root=root, stage=stage, entry=entry))
    ]
    if rows:
        await acreate_table_artifact(rows, key="metrics", description="Metrics of the stages.")
    comparison = root / COMPARISON / "comparison.json"
    if "compare" in stages and comparison.exists():
        page = render_markdown(load_comparison(comparison), {})
        await acreate_markdown_artifact(page, key="comparison", description="Policies compared.")


def artifact_key(name: str) -> str:
    """Make of a stage's name what Prefect takes as a key."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _metrics(result: Result) -> list[tuple[str, float]]:
    # A stage of an older run may have lost its metrics file.
    with contextlib.suppress(OSError):
        return list(final_metrics(result).items())
    return []


class _Follower:
    """Follows one stage's log and spool."""

    def __init__(self, name: str, root: Path, logger: Any) -> None:
        self._name = name
        self._log = log_path(name, root)
        self._offset = 0
        self._logger = logger
        self._gauge = Gauge(folder=root / ".goa" / "spool" / name, since=time.time())
        self._bar: UUID | None = None

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            # First of all: the log still holds an earlier run's lines.
            await asyncio.sleep(POLL_SECONDS)
            self.send_log()
            await self._send_progress()

    def send_log(self) -> None:
        """Send the whole lines that are new."""
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        end = content.rfind(b"\n") + 1
        self._offset += end
        said = content[:end].decode("utf-8", errors="replace").splitlines()
        lines = [line for line in said if line.strip() and not line.startswith(HINTS)]
        if len(lines) > LINES_PER_POLL:
            self._logger.info("... %d lines, see %s", len(lines) - LINES_PER_POLL, self._log)
        for line in lines[-LINES_PER_POLL:]:
            self._logger.log(logging.INFO, "%s", line)

    async def _send_progress(self) -> None:
        before = self._gauge.last
        self._gauge.read()
        record = self._gauge.last
        if record is None or record is before:
            return
        percent = 100 * record["done"] / max(1, record["total"])
        said = f"{self._name}: {record['done']}/{record['total']} {record['unit']} {record['note']}"
        if self._bar is None:
            key = artifact_key(self._name)
            self._bar = await acreate_progress_artifact(percent, key, said)
        else:
            await aupdate_progress_artifact(self._bar, percent, said)
