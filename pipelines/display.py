"""What a run shows: a live table on a terminal, a line an event elsewhere."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from goa.tracking.spool import follow_spool
from pipelines.execution import StageState
from pipelines.runner import Listener
from pipelines.status import StageStatus

STYLES = {
    StageState.FRESH: "dim",
    StageState.WAITING: "dim",
    StageState.RUNNING: "bold cyan",
    StageState.DONE: "green",
    StageState.CACHED: "green",
    StageState.RESCUED: "green",
    StageState.FAILED: "bold red",
    StageState.SKIPPED: "yellow",
}
ENDED = {StageState.DONE, StageState.CACHED, StageState.RESCUED, StageState.FAILED}
REFRESHES_PER_SECOND = 4
STATUS_STYLES = {"stale": ("bold", ""), "follows": ("", ""), "up to date": ("dim", "dim")}
"""Of a stage's name and of its state."""
NUM_REASONS = 3
"""Reasons to run that the status names for a stage."""


@contextlib.contextmanager
def show_run(root: Path, console: Console) -> Iterator[Listener]:
    """Show a run while it lasts; gives the listener to hand to the runner."""
    if not console.is_terminal:
        yield EventLines(console)
        return
    board = Board(root, console)
    with Live(
        get_renderable=board.render,
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=False,
    ):
        yield board


def clock(seconds: float) -> str:
    """Write a duration as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def status_table(statuses: Iterable[StageStatus]) -> Table:
    """Lay out every stage with its reasons to run, or none."""
    table = Table.grid(padding=(0, 2))
    for status in statuses:
        name, state = STATUS_STYLES[status.state]
        reasons = Text(_shortened(status.reasons), style="" if status.state == "stale" else "dim")
        table.add_row(Text(status.name, style=name), Text(status.state, style=state), reasons)
    return table


def _shortened(reasons: Sequence[str]) -> str:
    rest = len(reasons) - NUM_REASONS
    shown = ", ".join(reasons[:NUM_REASONS])
    return f"{shown} and {rest} more" if rest > 0 else shown


class EventLines:
    """One line for each thing that happens to a stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, float] = {}

    def __call__(self, name: str, state: StageState) -> None:
        """Take a stage's new state."""
        if state is StageState.WAITING:
            return
        now = time.monotonic()
        started = self._started.setdefault(name, now)
        spent = f" after {clock(now - started)}" if state in ENDED else ""
        line = f"{time.strftime('%H:%M:%S')} {name}: {state}{spent}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass(slots=True, kw_only=True)
class Gauge:
    """Follows how far a running stage says it is."""

    folder: Path
    """Holds the spools of the stage, one for each of its fingerprints."""
    since: float
    """Unix seconds; what was said before belongs to an earlier run."""
    offsets: dict[Path, int] = field(default_factory=dict)
    """Bytes read of each spool."""
    first: dict[str, Any] | None = None
    """First progress record of the task in hand: speed counts from here."""
    last: dict[str, Any] | None = None
    """Newest progress record."""

    def read(self) -> None:
        """Take in what was appended since the last call."""
        for path in self.folder.glob("*.jsonl"):
            records, self.offsets[path] = follow_spool(path, self.offsets.get(path, 0))
            for record in records:
                if record["kind"] == "progress" and record["time"] >= self.since:
                    self._take(record)

    def seconds_left(self, now: float) -> float | None:
        """Estimate from the task's mean speed; None before there is one. ``now``: Unix seconds."""
        if self.first is None or self.last is None or self.last["done"] <= self.first["done"]:
            return None
        spent = self.last["time"] - self.first["time"]
        pace = spent / (self.last["done"] - self.first["done"])
        end = self.last["time"] + (self.last["total"] - self.last["done"]) * pace
        return max(0.0, float(end) - now)

    def _take(self, record: dict[str, Any]) -> None:
        same = self.last is not None and all(
            self.last[key] == record[key] for key in ("total", "unit")
        )
        if not same or self.last is None or record["done"] < self.last["done"]:
            self.first = record
        self.last = record


@dataclass(slots=True, kw_only=True)
class Row:
    """What the table knows of a stage."""

    state: StageState
    started: float | None = None
    """Monotonic seconds; None before it runs."""
    spent: float | None = None
    """Seconds it ran; None before it ended."""
    gauge: Gauge | None = None
    """Set while it runs."""


class Board:
    """The table of a run's stages."""

    def __init__(self, root: Path, console: Console) -> None:
        self._spools = root / ".goa" / "spool"
        self._console = console
        self._rows: dict[str, Row] = {}

    def __call__(self, name: str, state: StageState) -> None:
        """Take a stage's new state."""
        row = self._rows.setdefault(name, Row(state=state))
        row.state = state
        if state is StageState.RUNNING:
            row.started = time.monotonic()
            row.gauge = Gauge(folder=self._spools / name, since=time.time())
        elif row.started is not None:
            row.spent = time.monotonic() - row.started
            row.gauge = None

    def render(self) -> Table:
        """Draw the table; if the terminal is too low for it, only what runs or failed."""
        # A copy: the live display draws in a thread of its own.
        rows = dict(self._rows)
        table = Table.grid(padding=(0, 2))
        for width in (None, 24, None, None):
            table.add_column(no_wrap=True, min_width=width, overflow="ellipsis")
        high = len(rows) + 1 >= self._console.height
        for name, row in rows.items():
            if not high or row.state in (StageState.RUNNING, StageState.FAILED):
                table.add_row(*_cells(name, row))
        counts = Counter(row.state for row in rows.values())
        summary = ", ".join(f"{counts[state]} {state}" for state in StageState if counts[state])
        table.add_row(Text(f"{len(rows)} stages", style="dim"), Text(summary, style="dim"))
        return table


def _cells(name: str, row: Row) -> Iterator[RenderableType]:
    yield Text(name, style=STYLES[row.state])
    spent = row.spent
    if spent is None and row.started is not None:
        spent = time.monotonic() - row.started
    elapsed = "" if spent is None else clock(spent)
    gauge = row.gauge
    if gauge is not None:
        # The picture of a run must not end because a file is being moved.
        with contextlib.suppress(OSError):
            gauge.read()
    if gauge is None or gauge.last is None:
        yield Text(str(row.state), style=STYLES[row.state])
        yield Text(elapsed)
        return
    record = gauge.last
    yield ProgressBar(total=record["total"] or None, completed=record["done"], width=24)
    left = gauge.seconds_left(time.time())
    yield Text(elapsed if left is None else f"{elapsed}, {clock(left)} left")
    yield Text(f"{record['done']}/{record['total']} {record['unit']}  {record['note']}".rstrip())
