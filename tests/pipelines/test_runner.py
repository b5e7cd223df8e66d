"""Whole runs over a toy project."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goa.errors import PipelineError
from pipelines.execution import StageError, StageState, Workplace, run_stage
from pipelines.graph import stale_stages
from pipelines.locks import only_run, try_lock
from pipelines.runner import RunOutcome, run_graph
from tests.pipelines.conftest import alive

LARGE_MIB = 2048
"""DVC takes longer to store four such files at once than it waits for its lock by itself."""
DONE, CACHED, FRESH = StageState.DONE, StageState.CACHED, StageState.FRESH


def ignore(name: str, state: StageState) -> None:
    pass


def run(toy, *targets: str, slots: int = 2, listener=ignore, execute=run_stage) -> RunOutcome:
    return asyncio.run(run_graph(targets, slots, listener, root=toy.root, execute=execute))


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


def is_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def running(path: Path) -> list[int]:
    """List those processes named in a file that still run."""
    return [process for process in map(int, path.read_text().split()) if alive(process)]


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
    both = asyncio.Barrier(2)

    async def execute(name: str, place: Workplace) -> StageState:
        if name.startswith("train"):
            async with asyncio.timeout(10):
                await both.wait()
        return DONE

    assert not run(toy, execute=execute).failures


@pytest.mark.long
def test_stages_with_large_outputs_are_all_committed_and_none_is_run_again(toy) -> None:
    names = ["train@a", "train@b", "train@c", "train@d"]
    toy.change("evaluators", {name[-1]: {"kind": name} for name in names})
    for name in names:
        toy.tell(name, f"bulky {LARGE_MIB}")
    try:
        outcome = run(toy, "train", slots=4)
        assert [outcome.states[name] for name in names] == [DONE] * 4
        assert [toy.events().count((name, "start")) for name in names] == [1] * 4
        sizes = [toy.lock()["stages"][name]["outs"][0]["size"] for name in names]
        assert min(sizes) > LARGE_MIB << 20
        assert set(stale_stages(toy.root)) == {"compare"}
    finally:
        shutil.rmtree(toy.root)  # pytest would keep 16 GiB


def test_slots_limit_how_many_run_at_once(toy) -> None:
    inside = 0

    async def execute(name: str, place: Workplace) -> StageState:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.01)
        inside -= 1
        return DONE

    assert set(run(toy, slots=1, execute=execute).states.values()) == {DONE}


def test_a_failed_stage_holds_back_only_what_depends_on_it(toy) -> None:
    async def execute(name: str, place: Workplace) -> StageState:
        if name == "train@a":
            raise StageError("train@a: failed")
        return DONE

    outcome = run(toy, execute=execute)
    assert outcome.states == {
        "prepare": DONE,
        "train@a": StageState.FAILED,
        "train@b": DONE,
        "compare": StageState.SKIPPED,
    }
    assert outcome.failures == ("train@a: failed",)


def test_a_changed_parameter_reruns_only_what_depends_on_it(done_toy) -> None:
    done_toy.change("evaluators.b", {"kind": "rule"})
    outcome = run(done_toy)
    assert outcome.states == {
        "prepare": FRESH, "train@a": FRESH, "train@b": DONE, "compare": DONE
    }  # fmt: skip
    assert done_toy.ran() == {"train@b", "compare"}


def test_a_stage_whose_inputs_came_out_the_same_is_not_run(done_toy) -> None:
    (done_toy.root / "raw.txt").write_text("other, but the toy does not look at it")
    assert run(done_toy, "train@a").states == {"prepare": DONE, "train@a": CACHED}
    assert done_toy.ran() == {"prepare"}


def test_nothing_stale_means_nothing_executed(done_toy) -> None:
    assert set(run(done_toy).states.values()) == {FRESH}
    assert not (done_toy.root / ".goa" / "logs").exists()


def test_only_the_targets_and_what_they_need_are_run(toy) -> None:
    ran: list[str] = []

    async def execute(name: str, place: Workplace) -> StageState:
        ran.append(name)
        return DONE

    assert list(run(toy, "train@b", execute=execute).states) == ["prepare", "train@b"]
    assert ran == ["prepare", "train@b"]


def test_the_listener_hears_every_change_in_order(toy) -> None:
    async def execute(name: str, place: Workplace) -> StageState:
        return DONE

    heard: list[tuple[str, StageState]] = []
    run(toy, "prepare", listener=lambda *change: heard.append(change), execute=execute)
    assert heard == [
        ("prepare", StageState.WAITING),
        ("prepare", StageState.RUNNING),
        ("prepare", DONE),
    ]


def test_a_second_run_in_the_same_folder_is_refused(toy) -> None:
    (toy.root / ".goa").mkdir()
    with only_run(toy.root), pytest.raises(PipelineError, match=f"process {os.getpid()}"):
        run(toy)


def test_cancelling_ends_every_process_of_the_stage(toy) -> None:
    toy.tell("prepare", "hang")
    pids = toy.root / "prepare.pids"

    async def cancel() -> None:
        task = asyncio.create_task(run_graph([], 2, ignore, root=toy.root))
        while not is_written(pids):
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
    assert eventually(lambda: is_written(toy.root / "prepare.pids"))
    return process


def test_killing_the_runner_leaves_no_process_of_the_stage(toy) -> None:
    with start_hanging(toy) as process:
        assert len(running(toy.root / "prepare.pids")) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert eventually(lambda: running(toy.root / "prepare.pids") == [])


def test_killing_dvc_leaves_no_process_of_the_stage(toy) -> None:
    with start_hanging(toy) as process:
        trainer, child = running(toy.root / "prepare.pids")
        os.kill(dvc_process(trainer), signal.SIGKILL)
        assert eventually(lambda: running(toy.root / "prepare.pids") == [])
        process.wait(20)
    assert child != trainer
    assert toy.events() == [("prepare", "start")]


def dvc_process(process: int) -> int:
    """Find the DVC that a stage's process was started by; a shell may stand between."""
    while "dvc" not in Path(f"/proc/{process}/cmdline").read_text().split("\0"):
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


@pytest.mark.long
def test_a_killed_run_can_be_run_again(toy) -> None:
    with start_hanging(toy) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (toy.root / "control" / "prepare").unlink()
    # Refused only until the supervisor has ended what the dead run left.
    assert eventually(lambda: not is_held(toy.root / ".goa" / "run.lock"))
    assert not run(toy, "prepare").failures


def test_a_lock_file_that_was_not_written_whole_can_be_removed_and_nothing_is_lost(
    done_toy,
) -> None:
    lock = done_toy.root / "dvc.lock"
    before = done_toy.lock()
    lock.write_text("")
    with pytest.raises(PipelineError, match="remove it: what DVC's cache has is not run again"):
        run(done_toy)
    lock.unlink()
    assert set(run(done_toy).states.values()) == {CACHED}
    assert done_toy.ran() == set()
    assert done_toy.lock() == before
