"""One stage at a time, for real."""

import asyncio
import fcntl
import shutil
import subprocess
import threading
import time

import pytest

from pipelines import execution
from pipelines.damage import describe_damage
from pipelines.execution import (
    NotBegunError,
    StageError,
    StageState,
    Workplace,
    done_path,
    log_path,
    run_stage,
)
from pipelines.fingerprint import fingerprint
from pipelines.graph import lock_entries, stage_definition, stale_stages
from pipelines.stage import open_stage


def run(toy, name: str, gpus: tuple[str, ...] = ()) -> StageState:
    return asyncio.run(run_stage(name, Workplace(root=toy.root, gpus=gpus)))


def mark_and_abandon(toy, name: str) -> None:
    """Have the stage's DVC killed as soon as its command has finished."""
    toy.tell(name, f"abandon {fingerprint(stage_definition(name, toy.root), toy.root)}")


def test_a_stale_stage_is_run_and_recorded(toy) -> None:
    assert run(toy, "prepare") is StageState.DONE
    assert toy.ran() == {"prepare"}
    assert "prepare" in lock_entries(toy.root)
    assert "Running stage 'prepare'" in log_path("prepare", toy.root).read_text()


def test_an_unchanged_stage_is_left_alone(done_toy) -> None:
    assert run(done_toy, "prepare") is StageState.CACHED
    assert done_toy.ran() == set()


def test_a_result_in_the_cache_is_restored(done_toy) -> None:
    (done_toy.root / "out" / "data").unlink()
    assert run(done_toy, "prepare") is StageState.CACHED
    assert done_toy.ran() == set()
    assert (done_toy.root / "out" / "data").exists()


def test_a_failure_shows_the_end_of_the_log(toy) -> None:
    toy.tell("prepare", "fail")
    with pytest.raises(StageError, match=r"(?s)prepare: failed.*prepare\.log.*told to fail"):
        run(toy, "prepare")


def test_a_stage_that_began_and_failed_is_told_from_one_that_never_began(toy) -> None:
    toy.tell("prepare", "fail")
    with pytest.raises(StageError) as failed:
        run(toy, "prepare")
    assert not isinstance(failed.value, NotBegunError)
    (toy.root / "raw.txt").unlink()
    with pytest.raises(NotBegunError, match=r"(?s)prepare: failed.*raw\.txt"):
        run(toy, "prepare")


def test_a_result_of_another_folder_is_taken_from_the_remote(done_toy, tmp_path) -> None:
    done_toy.dvc("remote", "add", "--default", "shared", str(tmp_path / "remote"))
    done_toy.dvc("push", "--run-cache", "prepare")
    (done_toy.root / "dvc.lock").unlink()
    for folder in ("out", ".dvc/cache"):
        shutil.rmtree(done_toy.root / folder)
    place = Workplace(root=done_toy.root, pull=True)
    assert asyncio.run(run_stage("prepare", place)) is StageState.CACHED
    assert done_toy.ran() == set()
    assert (done_toy.root / "out" / "data").read_text() == "1\n"


def test_a_stage_sees_only_the_gpu_it_was_given(toy) -> None:
    run(toy, "prepare", gpus=("3",))
    assert (toy.root / "gpus").read_text() == "prepare 3\n"


def test_a_stage_of_several_processes_sees_a_gpu_for_each(toy) -> None:
    graph = toy.root / "dvc.yaml"
    graph.write_text(graph.read_text().replace("out/data seed", "out/data seed --processes 2", 1))
    run(toy, "prepare", gpus=("3", "5", "7"))
    assert (toy.root / "gpus").read_text() == "prepare 3,5\n"


def test_without_gpus_the_environment_is_left_alone(toy) -> None:
    run(toy, "prepare")
    assert (toy.root / "gpus").read_text() == "prepare none\n"


def test_finished_work_is_committed_when_dvc_dies_even_if_its_lock_is_held(toy) -> None:
    mark_and_abandon(toy, "prepare")
    marker = done_path("prepare", toy.root)

    def hold_the_lock() -> None:
        while not marker.exists():
            time.sleep(0.01)
        with (toy.root / ".dvc" / "tmp" / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(6)  # DVC gives up after 3 seconds unless told to wait

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    assert run(toy, "prepare") is StageState.RESCUED
    holder.join()
    assert toy.events() == [("prepare", "start"), ("prepare", "end")]
    assert "prepare" not in stale_stages(toy.root)
    assert not marker.exists()


@pytest.fixture
def abandoned(toy):
    """Give a project whose run was killed after prepare's command and before DVC's commit."""
    mark_and_abandon(toy, "prepare")
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        toy.dvc("repro", "prepare")
    return toy


def test_work_that_an_earlier_run_finished_is_committed(abandoned) -> None:
    assert run(abandoned, "prepare") is StageState.RESCUED
    assert abandoned.events() == [("prepare", "start"), ("prepare", "end")]


def test_outputs_that_changed_after_the_work_was_done_are_not_committed(abandoned) -> None:
    time.sleep(0.02)  # the file system's clock ticks every few milliseconds
    (abandoned.root / "out" / "data").write_text("another version")
    assert run(abandoned, "prepare") is StageState.DONE
    assert (abandoned.root / "out" / "data").read_text() == "1\n"


def test_work_for_other_parameters_is_not_committed(abandoned) -> None:
    abandoned.change("seed", 2)
    assert run(abandoned, "prepare") is StageState.DONE
    assert (abandoned.root / "out" / "data").read_text() == "2\n"


def test_work_for_other_dependencies_is_not_committed(abandoned) -> None:
    (abandoned.root / "raw.txt").write_text("other")
    assert run(abandoned, "prepare") is StageState.DONE


def test_work_whose_output_is_gone_is_not_committed(abandoned) -> None:
    (abandoned.root / "out" / "data").unlink()
    assert run(abandoned, "prepare") is StageState.DONE
    assert (abandoned.root / "out" / "data").read_text() == "1\n"


def test_finished_work_that_dvc_does_not_take_is_done_again(abandoned, monkeypatch) -> None:
    asked = execution._dvc

    async def refuse_commits(arguments, place, held) -> int:
        return 1 if arguments[0] == "commit" else await asked(arguments, place, held)

    monkeypatch.setattr(execution, "_dvc", refuse_commits)
    assert run(abandoned, "prepare") is StageState.DONE
    assert abandoned.events() == [("prepare", "start"), ("prepare", "end")] * 2
    assert not done_path("prepare", abandoned.root).exists()


def test_a_file_that_changed_within_an_output_is_noticed(toy) -> None:
    stage = stage_definition("prepare", toy.root)
    (toy.root / "out/data").mkdir(parents=True)
    (toy.root / "out/data/a").write_text("a")
    before = execution._last_change(stage, toy.root)
    time.sleep(0.02)
    (toy.root / "out/data/a").write_text("b")
    assert execution._last_change(stage, toy.root) > before


def test_a_stage_marks_its_end_with_the_fingerprint_the_rescue_looks_for(toy, monkeypatch) -> None:
    monkeypatch.chdir(toy.root)
    with open_stage("prepare"):
        pass
    stage = stage_definition("prepare", toy.root)
    assert done_path("prepare", toy.root).read_text() == fingerprint(stage, toy.root)


def test_a_stage_that_was_killed_says_why_that_may_be(toy) -> None:
    toy.tell("prepare", "die")
    with pytest.raises(StageError, match=r"was killed, .* memory ran out .* run it again to go on"):
        run(toy, "prepare")
    (toy.root / "control" / "prepare").unlink()
    assert run(toy, "prepare") is StageState.DONE


def test_what_the_cache_gives_back_damaged_is_not_taken_for_whole(done_toy) -> None:
    digest = done_toy.lock()["stages"]["prepare"]["outs"][0]["md5"]
    kept = done_toy.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.chmod(0o644)
    kept.write_text("7\n")
    kept.chmod(0o444)  # so DVC trusts it
    (done_toy.root / "out/data").unlink()
    with pytest.raises(StageError, match="gave back damaged files: out/data") as told:
        run(done_toy, "prepare")
    remedy = str(told.value).splitlines()[-1]
    assert remedy == f"rm -rf out/data {kept}"
    subprocess.run(remedy, shell=True, cwd=done_toy.root, check=True)
    assert run(done_toy, "prepare") is StageState.DONE
    assert (done_toy.root / "out/data").read_text() == "1\n"


@pytest.fixture
def folder_toy(toy):
    """Give a project whose first output is a folder of two files, in the cache."""
    (toy.root / "out/data").mkdir(parents=True)
    for name in ("a", "b"):
        (toy.root / "out/data" / name).write_text(name)
    toy.dvc("commit", "--force", "prepare")
    return toy


def test_a_folder_from_the_cache_is_held_against_the_list_of_its_files(folder_toy) -> None:
    assert describe_damage("prepare", folder_toy.root) is None
    (folder_toy.root / "out/data/b").write_text("c")
    assert "damaged files: out/data/b\n" in str(describe_damage("prepare", folder_toy.root))


def test_of_a_folder_whose_list_the_cache_lost_or_changed_the_whole_is_damaged(folder_toy) -> None:
    digest = folder_toy.lock()["stages"]["prepare"]["outs"][0]["md5"]
    kept = folder_toy.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.chmod(0o644)
    kept.write_text("[]")
    told = str(describe_damage("prepare", folder_toy.root))
    assert told.splitlines()[-1] == f"rm -rf out/data {kept}"
    kept.unlink()
    assert describe_damage("prepare", folder_toy.root) == told


def test_a_file_that_the_cache_did_not_give_back_is_damaged(folder_toy) -> None:
    (folder_toy.root / "out/data/a").unlink()
    assert "damaged files: out/data/a\n" in str(describe_damage("prepare", folder_toy.root))
