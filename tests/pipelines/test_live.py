"""Tests of following stages that run."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from goa.errors import TrackingError
from goa.tracking.machine import watch_machine
from goa.tracking.spool import Spool, follow_spool
from pipelines import live as module
from pipelines.live import Follower, LivePublisher, follow
from pipelines.locks import try_lock
from pipelines.publish import project_store, publish
from tests.pipelines.recorded import Project


def test_a_running_stage_is_followed_and_then_completed(project: Project) -> None:
    follower = Follower(project.root, "monday")
    spool = project.spool()
    spool.metrics(0, {"update": 0, "loss": 5.0, "validation_loss": 4.0})
    follower.poll()
    spool.metrics(10, {"update": 10, "loss": 3.25})
    spool.metrics(20, {"update": 20, "loss": 2.5, "validation_loss": 3.5})
    follower.poll()
    assert project.points("pretrain", "loss") == [(0, 5.0), (10, 3.25), (20, 2.5)]
    live = project.runs()["pretrain"]
    assert (live.info.status, live.data.tags["goa.complete"]) == ("RUNNING", "false")

    publish(project.root, "monday")

    run = project.runs()["pretrain"]
    assert (run.info.run_id, run.info.status) == (live.info.run_id, "FINISHED")
    assert project.points("pretrain", "loss") == [(0, 5.0), (10, 3.25), (20, 2.5)]
    assert run.data.params["seed"] == "17"


def test_the_machine_is_watched_once_for_each_run(project: Project) -> None:
    watched: list[tuple[str, str, Sequence[str] | None]] = []
    follower = Follower(
        project.root, "monday", lambda store, run, gpus: watched.append((store.uri, run, gpus))
    )
    spool = project.spool()
    spool.event("gpus", names=["2"])
    for step in range(3):
        spool.metrics(step, {"loss": 5.0})
        follower.poll()
    run = project.runs()["pretrain"].info.run_id
    assert watched == [(project_store(project.root).uri, run, ["2"])]


def test_the_load_of_the_machine_is_recorded_while_a_stage_trains(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    spool = project.spool()
    spool.metrics(0, {"loss": 5.0})
    with LivePublisher(project.root, "monday"):
        _train_until(lambda: "system/cpu_utilization_percentage" in _metrics(project), spool)
    (project.root / "params.yaml").write_text("tracking: {system_metrics: false}")
    assert not module.tracking_settings(project.root).system_metrics


def _metrics(project: Project) -> set[str]:
    return {name for run in project.runs().values() for name in run.data.metrics}


@pytest.mark.parametrize("live", [True, False])
def test_one_at_a_time_publishes(project: Project, live: bool) -> None:
    follower = Follower(project.root, "monday")
    project.spool().metrics(0, {"loss": 5.0})
    lock = try_lock(project.root / ".goa" / "publish.lock")
    assert lock is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(follower.poll if live else lambda: publish(project.root, "monday"))
        time.sleep(1)
        found = waiting.done(), project.runs()
        os.close(lock)
        waiting.result(60)
    assert found == (False, {})
    assert "monday" in project.runs()


def test_each_line_of_a_spool_is_read_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(project.root, "monday")
    read: list[int] = []

    def spy(path: Path, offset: int) -> Any:
        read.append(offset)
        return follow_spool(path, offset)

    monkeypatch.setattr(module, "follow_spool", spy)
    spool = project.spool()
    sizes = [0]
    for step in range(3):
        spool.metrics(step, {"loss": 5.0})
        follower.poll()
        sizes.append(spool.path.stat().st_size)
    assert read == sizes[:3]


@pytest.mark.parametrize(("wanted", "watch"), [("true", watch_machine), ("false", None)])
def test_the_machine_is_watched_unless_told_not_to(
    project: Project, monkeypatch: pytest.MonkeyPatch, wanted: str, watch: object
) -> None:
    (project.root / "params.yaml").write_text(f"tracking: {{system_metrics: {wanted}}}")
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "Follower", lambda *given: made.append(given) or follower)
    monkeypatch.setattr(module, "follow", lambda *_: None)
    follower = Follower(project.root, "monday")
    arguments = ["live", "--root", str(project.root), "--execution", "monday"]
    monkeypatch.setattr("sys.argv", arguments)
    module.main()
    assert made == [(project.root, "monday", watch)]


def test_what_was_spooled_before_is_not_followed(project: Project) -> None:
    project.spool().metrics(0, {"loss": 5.0})
    follower = Follower(project.root, "monday")

    follower.poll()

    assert project.runs() == {}


def test_while_the_store_is_down_following_goes_on_and_says_so_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    polls = _poll_always(monkeypatch, stop_after=5)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    follower = Follower(project.root, "monday")
    monkeypatch.setattr(follower, "poll", lambda: polls.append(1) or _raise())

    follow(follower, io.StringIO())

    assert len(polls) == 5
    assert capsys.readouterr().err == "down\n"


def test_a_store_that_is_down_is_left_alone_for_a_while(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = _poll_always(monkeypatch, stop_after=5)
    follower = Follower(project.root, "monday")
    monkeypatch.setattr(follower, "poll", lambda: polls.append(1) or _raise())

    follow(follower, io.StringIO())

    # The first, and the last before the end.
    assert len(polls) == 2


def test_the_live_publisher_sends_what_is_left_when_it_is_stopped(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 300.0)
    spool = project.spool()
    with LivePublisher(project.root, "monday"):
        _train_until(lambda: "pretrain" in project.runs(), spool)
        spool.metrics(1000, {"loss": 0.5})

    assert project.points("pretrain", "loss")[-1] == (1000, 0.5)
    # Nobody published: nothing may look as if it were still running.
    assert {run.info.status for run in project.runs().values()} == {"KILLED"}


def test_the_live_publisher_ends_when_its_parent_is_gone(project: Project) -> None:
    with LivePublisher(project.root, "monday") as publisher:
        process = publisher._process
        assert process is not None
        assert os.getsid(process.pid) != os.getsid(0)  # Ctrl-C is not for it
        assert process.stdin is not None
        process.stdin.close()  # as the kernel does for a parent that was killed

        assert process.wait(30) == 0


def test_settings_that_cannot_be_used_end_the_live_publisher_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("tracking: {experimnt: x}\n")
    monkeypatch.setattr(sys, "argv", ["live", "--root", str(tmp_path), "--execution", "monday"])
    with pytest.raises(SystemExit, match=r"^error: .*params\.yaml, tracking: .*\n.*experimnt"):
        module.main()


def test_a_live_publisher_that_hangs_does_not_hold_up_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.1)
    with LivePublisher(project.root, "monday") as publisher:
        process = publisher._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL


def _poll_always(monkeypatch: pytest.MonkeyPatch, stop_after: int) -> list[int]:
    """Make waiting for the end return at once, and the end come after some calls."""
    calls = iter(range(1, stop_after + 1))

    class Select:
        @staticmethod
        def select(*_: Any) -> tuple[list[int], list[int], list[int]]:
            return ([1] if next(calls) == stop_after else [], [], [])

    monkeypatch.setattr(module, "select", Select)
    return []


def _raise() -> None:
    raise TrackingError("down")


def _train_until(happened: Callable[[], bool], spool: Spool) -> None:
    deadline = time.monotonic() + 300
    step = 0
    while not happened():
        assert time.monotonic() < deadline
        spool.metrics(step, {"loss": 1.0})
        step += 1
        time.sleep(0.2)
