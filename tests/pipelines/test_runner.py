"""Whole runs over a toy project."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goa.errors import PipelineError
from pipelines.execution import StageState
from pipelines.locks import only_run, try_lock
from pipelines.runner import RunOutcome, run_graph

# dvc still uses what pygtrie deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

DONE, CACHED, FRESH = StageState.DONE, StageState.CACHED, StageState.FRESH


def ignore(name: str, state: StageState) -> None:
    pass


def run(toy, *targets: str, slots: int = 2, listener=ignore) -> RunOutcome:
    return asyncio.run(run_graph(targets, slots, listener, root=toy.root))


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_held(path: Path) -> bool:
    descriptor = try_lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def running(path: Path) -> list[int]:
    """List those processes named in a file that still run."""
    found = []
    for process in map(int, path.read_text().split()):
        stat = Path(f"/proc/{process}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            found.append(process)
    return found


@pytest.mark.parametrize("kind", ["toy", "git_toy"])
def test_the_lock_is_the_one_that_dvc_repro_writes(kind, request, tmp_path) -> None:
    ours = request.getfixturevalue(kind)
    theirs = type(ours)(root=shutil.copytree(ours.root, tmp_path / "theirs"))
    outcome = run(ours)
    assert set(outcome.states.values()) == {DONE}
    theirs.dvc("repro")
    assert ours.lock() == theirs.lock()
    assert "up to date" in ours.dvc("status")


def test_independent_stages_run_side_by_side(toy) -> None:
    toy.tell("train@a", "wait")
    toy.tell("train@b", "wait")

    async def watch() -> RunOutcome:
        task = asyncio.create_task(run_graph([], 2, ignore, root=toy.root))
        while not {("train@a", "start"), ("train@b", "start")} <= set(toy.events()):
            assert not task.done()
            await asyncio.sleep(0.02)
        (toy.root / "control" / "train@a").unlink()
        (toy.root / "control" / "train@b").unlink()
        return await task

    assert not asyncio.run(asyncio.wait_for(watch(), 30)).failures


def test_one_slot_runs_one_stage_at_a_time(toy) -> None:
    run(toy, slots=1)
    assert [event for _, event in toy.events()] == ["start", "end"] * 4


def test_a_failed_stage_holds_back_only_what_depends_on_it(toy) -> None:
    toy.tell("train@a", "fail")
    outcome = run(toy)
    assert outcome.states == {
        "prepare": DONE,
        "train@a": StageState.FAILED,
        "train@b": DONE,
        "compare": StageState.SKIPPED,
    }
    assert len(outcome.failures) == 1
    assert "told to fail" in outcome.failures[0]


def test_a_changed_parameter_reruns_only_what_depends_on_it(done_toy) -> None:
    done_toy.change("evaluators.b", {"kind": "rule"})
    outcome = run(done_toy)
    assert outcome.states == {
        "prepare": FRESH, "train@a": FRESH, "train@b": DONE, "compare": DONE
    }  # fmt: skip
    assert done_toy.ran() == {"train@b", "compare"}


def test_a_stage_whose_inputs_came_out_the_same_is_not_run(done_toy) -> None:
    (done_toy.root / "raw.txt").write_text("other, but the toy does not look at it")
    outcome = run(done_toy)
    assert outcome.states == {
        "prepare": DONE, "train@a": CACHED, "train@b": CACHED, "compare": CACHED
    }  # fmt: skip
    assert done_toy.ran() == {"prepare"}


def test_nothing_stale_means_nothing_executed(done_toy) -> None:
    assert set(run(done_toy).states.values()) == {FRESH}
    assert not (done_toy.root / ".goa" / "logs").exists()


def test_only_the_targets_and_what_they_need_are_run(toy) -> None:
    assert list(run(toy, "train@b").states) == ["prepare", "train@b"]
    assert toy.ran() == {"prepare", "train@b"}


def test_the_listener_hears_every_change_in_order(toy) -> None:
    heard: list[tuple[str, StageState]] = []
    run(toy, "prepare", listener=lambda name, state: heard.append((name, state)))
    assert heard == [
        ("prepare", StageState.WAITING),
        ("prepare", StageState.RUNNING),
        ("prepare", DONE),
    ]


def test_stages_side_by_side_have_a_gpu_each(toy, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    toy.tell("train@a", "wait")

    def release(name: str, state: StageState) -> None:
        if (name, state) == ("train@b", DONE):
            (toy.root / "control" / "train@a").unlink()

    run(toy, "train", slots=8, listener=release)
    given = dict(line.split() for line in (toy.root / "gpus").read_text().splitlines())
    assert {given["train@a"], given["train@b"]} == {"4", "7"}


def test_a_second_run_in_the_same_folder_is_refused(toy) -> None:
    (toy.root / ".goa").mkdir()
    with only_run(toy.root), pytest.raises(PipelineError, match=f"process {os.getpid()}"):
        run(toy)


def test_cancelling_ends_every_process_of_the_stage(toy) -> None:
    toy.tell("prepare", "hang")
    pids = toy.root / "prepare.pids"

    async def cancel() -> None:
        task = asyncio.create_task(run_graph([], 2, ignore, root=toy.root))
        while not pids.exists():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert running(pids) == []


def start_hanging(toy) -> "subprocess.Popen[bytes]":
    """Start a run in another process and wait until its first stage hangs."""
    toy.tell("prepare", "hang")
    code = (
        "import asyncio, pathlib; from pipelines.runner import run_graph;"
        f"asyncio.run(run_graph([], 2, lambda *_: None, root=pathlib.Path({str(toy.root)!r})))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    assert eventually((toy.root / "prepare.pids").exists)
    return process


def test_killing_the_runner_leaves_no_process_of_the_stage(toy) -> None:
    with start_hanging(toy) as process:
        assert len(running(toy.root / "prepare.pids")) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert eventually(lambda: running(toy.root / "prepare.pids") == [])


def test_a_killed_run_can_be_run_again(toy) -> None:
    with start_hanging(toy) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (toy.root / "control" / "prepare").unlink()
    # Refused only until the supervisor has ended what the dead run left.
    assert eventually(lambda: not is_held(toy.root / ".goa" / "run.lock"))
    assert not run(toy, "prepare").failures
