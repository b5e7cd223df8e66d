"""Tests of progress."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from goa.tracking import progress as module
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool, read_spool


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.jsonl")


def test_first_and_last_state_are_recorded(spool: Spool) -> None:
    with Progress(spool).task("pretrain", 50, unit="updates", done=10) as task:
        task.advance(40, "loss 1.1")

    first, last = read_spool(spool.path)
    assert (first["done"], first["total"], first["unit"]) == (10, 50, "updates")
    assert (last["done"], last["note"]) == (50, "loss 1.1")


def test_records_are_at_least_a_second_apart(spool: Spool, clock: Clock) -> None:
    with Progress(spool).task("pretrain", 1000, unit="updates") as task:
        for _ in range(1000):
            clock.now += 0.01
            task.advance()

    # Ten seconds: the start, one a second (less a rounding), the end.
    assert len(read_spool(spool.path)) in (11, 12)


def test_a_wall_clock_that_is_set_back_does_not_silence_the_task(
    spool: Spool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Progress(spool).task("pretrain", 10, unit="updates") as task:
        monkeypatch.setattr(module.time, "time", lambda: -1e9)
        clock.now += 2
        task.advance()
        clock.now += 2
        task.advance()

    assert [record["done"] for record in read_spool(spool.path)] == [0, 1, 2, 2]


def test_a_note_stays_until_there_is_a_new_one(spool: Spool) -> None:
    with Progress(spool).task("pretrain", 3, unit="updates") as task:
        task.advance(1, "loss 2.0")
        task.advance(1)

    assert read_spool(spool.path)[-1]["note"] == "loss 2.0"


def test_the_state_is_recorded_when_the_work_fails(spool: Spool) -> None:
    with contextlib.suppress(RuntimeError), Progress(spool).task("score", 9, unit="rows") as task:
        task.advance(4)
        raise RuntimeError

    assert read_spool(spool.path)[-1]["done"] == 4


def test_nothing_is_shown_where_no_terminal_is(
    spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(spool).task("pretrain", 3, unit="updates") as task:
        task.advance(3, "loss 2.0")

    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_note_speed_and_time_left(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")

    with Progress(spool).task("finetune@bleu", 60, unit="updates") as task:
        for _ in range(30):
            task.advance(1, "reward 0.412")

    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "finetune@bleu" in shown
    assert re.search(r"30/60 [\d.]+ updates/s +\d\d:\d\d reward 0\.412", shown)
