"""What a run shows on a terminal and elsewhere."""

import contextlib
import io
import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from goa.tracking.spool import Spool
from pipelines.display import Board, EventLines, Gauge, clock, show_run, status_table
from pipelines.execution import StageState
from pipelines.status import StageStatus

RUNNING, DONE, WAITING = StageState.RUNNING, StageState.DONE, StageState.WAITING


def terminal(height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=height)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def drawn(board: Board) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(board.render())
    return text(console).splitlines()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03")]
)
def test_durations_are_written_as_clocks(seconds, shown) -> None:
    assert clock(seconds) == shown


def test_elsewhere_than_on_a_terminal_each_event_is_a_line(tmp_path) -> None:
    console = Console(file=io.StringIO(), width=20)
    with show_run(tmp_path, console) as listener:
        assert isinstance(listener, EventLines)
        for state in (WAITING, RUNNING, DONE):
            listener("finetune@bleu-with-a-long-name", state)
    lines = [line.split(" ", 1)[1] for line in text(console).splitlines()]
    name = "finetune@bleu-with-a-long-name"
    assert lines == [f"{name}: running", f"{name}: done after 0:00"]


def test_on_a_terminal_the_last_picture_stays(tmp_path) -> None:
    console = terminal()
    with show_run(tmp_path, console) as listener:
        listener("prepare", RUNNING)
        listener("prepare", DONE)
    assert "prepare" in text(console)
    assert "1 done" in text(console)


def test_dvc_draws_no_bars_into_the_table(toy) -> None:
    code = "from pipelines.commands.pipeline import _run; _run(['prepare'], 1)"
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 100))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=toy.root,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=terminal,
        stderr=terminal,
    ):
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how the end of a terminal reads
            while piece := os.read(screen, 4096):
                shown += piece
    os.close(screen)
    assert b"1 done" in shown
    assert b"Collecting files" not in shown


def test_every_stage_has_a_row_and_states_are_counted(tmp_path) -> None:
    board = Board(tmp_path, terminal())
    board("prepare", DONE)
    board("pretrain", RUNNING)
    board("generate", WAITING)
    lines = drawn(board)
    assert [line.split()[0] for line in lines] == ["prepare", "pretrain", "generate", "3"]
    assert "1 waiting, 1 running, 1 done" in lines[-1]


def test_the_clock_of_a_stage_stops_when_it_ends(tmp_path, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    board = Board(tmp_path, terminal())
    board("prepare", RUNNING)
    now[0] = 107.0
    board("prepare", DONE)
    now[0] = 160.0
    assert drawn(board)[0].split() == ["prepare", "done", "0:07"]


def test_a_low_terminal_shows_what_runs_and_what_failed(tmp_path) -> None:
    board = Board(tmp_path, terminal(height=4))
    for name, state in {"a": DONE, "b": RUNNING, "c": StageState.FAILED, "d": WAITING}.items():
        board(name, state)
    assert [line.split()[0] for line in drawn(board)] == ["b", "c", "4"]


def test_a_running_stage_shows_what_its_spool_says(tmp_path) -> None:
    board = Board(tmp_path, terminal())
    board("pretrain", RUNNING)
    spool = Spool(tmp_path / ".goa" / "spool" / "pretrain" / "0123.jsonl")
    spool.progress(120, 600, "updates", "loss 2.3")
    assert "120/600 updates  loss 2.3" in drawn(board)[0]
    board("pretrain", DONE)
    assert "120/600" not in drawn(board)[0]
    assert "done" in drawn(board)[0]


def follow(folder: Path, *records: tuple[float, int, int], since: float = 0.0) -> Gauge:
    """Have a spool say (time, done, total) and follow it."""
    lines = [
        f'{{"time": {at}, "kind": "progress", "done": {done}, "total": {total},'
        ' "unit": "updates", "note": ""}\n'
        for at, done, total in records
    ]
    (folder / "0123.jsonl").write_text("".join(lines))
    gauge = Gauge(folder=folder, since=since)
    gauge.read()
    return gauge


def test_time_left_follows_the_speed_since_this_run_began(tmp_path) -> None:
    resumed_at_500 = follow(tmp_path, (100.0, 500, 1000), (110.0, 600, 1000))
    assert resumed_at_500.seconds_left(now=110.0) == pytest.approx(40.0)
    assert resumed_at_500.seconds_left(now=115.0) == pytest.approx(35.0)


def test_a_new_task_starts_a_new_estimate(tmp_path) -> None:
    gauge = follow(tmp_path, (100.0, 0, 10), (101.0, 10, 10), (102.0, 0, 50))
    assert gauge.seconds_left(now=102.0) is None


def test_what_an_earlier_run_said_is_not_shown(tmp_path) -> None:
    Spool(tmp_path / "0123.jsonl").progress(9, 10, "updates", "")
    gauge = Gauge(folder=tmp_path, since=time.time() + 60)
    gauge.read()
    assert gauge.last is None


def test_what_a_run_that_was_killed_said_in_the_same_spool_is_not_shown(tmp_path) -> None:
    gauge = follow(tmp_path, (100.0, 5, 50), (300.0, 10, 50), since=200.0)
    assert gauge.last is not None
    assert gauge.last["done"] == 10
    assert gauge.first == gauge.last


def test_a_torn_line_is_read_when_it_is_whole(tmp_path) -> None:
    gauge = follow(tmp_path, (100.0, 1, 10))
    spool = tmp_path / "0123.jsonl"
    whole = spool.read_text().replace('"done": 1', '"done": 2')
    with spool.open("a") as file:
        file.write(whole[:20])
        file.flush()
        gauge.read()
        assert gauge.last is not None
        assert gauge.last["done"] == 1
        file.write(whole[20:])
    gauge.read()
    assert gauge.last["done"] == 2


def test_the_status_names_the_first_reasons() -> None:
    reasons = ("raw.txt modified", "b modified", "c modified", "d modified", "e modified")
    statuses = [
        StageStatus(name="prepare", state="up to date", reasons=()),
        StageStatus(name="pretrain", state="stale", reasons=reasons),
        StageStatus(name="compare", state="follows", reasons=("pretrain",)),
    ]
    console = Console(file=io.StringIO(), width=120)
    console.print(status_table(statuses))
    assert [" ".join(line.split()) for line in text(console).splitlines()] == [
        "prepare up to date",
        "pretrain stale raw.txt modified, b modified, c modified and 2 more",
        "compare follows pretrain",
    ]
