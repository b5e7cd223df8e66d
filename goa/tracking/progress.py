"""Progress of long work: a bar on a terminal, and always a trace in the spool."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Display
from rich.progress import Task as Bar
from rich.text import Text

from goa.tracking.spool import Spool

SPOOL_SECONDS = 1.0
"""Shortest time between two progress records of a task."""
SPEED_SECONDS = 30.0
"""Time that the shown speed is averaged over."""


class Progress:
    """Shows the tasks of one stage on standard error and records them in its spool.

    Args:
        spool: where progress is recorded.
        quiet: show nothing; by default, when standard error is not a terminal.
    """

    def __init__(self, spool: Spool, quiet: bool | None = None) -> None:
        self._spool = spool
        self._quiet = not sys.stderr.isatty() if quiet is None else quiet

    @contextmanager
    def task(self, name: str, total: int, unit: str, done: int = 0) -> "Iterator[Task]":
        """Follow one task of ``total`` units, of which ``done`` were done by an earlier run."""
        with _display(self._quiet) as display:
            bar = display.add_task(name, total=total, completed=done, unit=unit, note="")
            task = Task(self._spool, display, display.tasks[bar])
            try:
                yield task
            finally:
                task.record()


class Task:
    """How far one task is."""

    def __init__(self, spool: Spool, display: Display, bar: Bar) -> None:
        self._spool = spool
        self._display = display
        self._bar = bar
        self.record()

    def advance(self, num: int = 1, note: str = "") -> None:
        """Count ``num`` more units as done; the note says how it goes, such as ``loss 2.31``."""
        shown = note or self._bar.fields["note"]
        self._display.update(self._bar.id, advance=num, note=shown)
        # The monotonic clock: a wall clock that is set back would silence the task.
        if time.monotonic() - self._recorded >= SPOOL_SECONDS:
            self.record()

    def record(self) -> None:
        """Append the present state to the spool, whenever the last time was."""
        self._recorded = time.monotonic()
        done, total = int(self._bar.completed), int(self._bar.total or 0)
        self._spool.progress(done, total, self._bar.fields["unit"], self._bar.fields["note"])


class SpeedColumn(ProgressColumn):
    """Units per second, or seconds per unit where that is slow."""

    def render(self, task: Bar) -> Text:
        """Render the speed of the last seconds."""
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        if not speed:
            return Text(f"- {unit}/s", style="progress.data.speed")
        text = f"{speed:.1f} {unit}/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}"
        return Text(text, style="progress.data.speed")


def _display(quiet: bool) -> Display:
    return Display(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        speed_estimate_period=SPEED_SECONDS,
        disable=quiet,
        get_time=time.monotonic,
    )
