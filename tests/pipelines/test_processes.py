"""Programs that a run starts."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pipelines.locks import try_lock
from pipelines.processes import last_lines, run_python, stage_environment
from tests.pipelines.conftest import alive


def test_python_in_dvc_yaml_is_the_interpreter_that_runs_goa(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert stage_environment()["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"


def test_the_end_of_a_log_is_its_last_twenty_lines(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 9000 + b"\n" + "".join(f"line {n}\n" for n in range(25)).encode())
    assert last_lines(log).splitlines() == [f"  line {n}" for n in range(5, 25)]


def test_what_is_cancelled_is_gone_before_the_caller_goes_on(tmp_path) -> None:
    script = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"

    async def cancel() -> int:
        running = asyncio.create_task(run_python(["-c", script], tmp_path / "log", root=tmp_path))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.02)
        for _ in range(3):  # however often
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        return int((tmp_path / "pid").read_text())

    assert not alive(asyncio.run(asyncio.wait_for(cancel(), 60)))


def test_a_program_has_its_folder_its_variables_and_the_code_it_ended_with(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "import os, sys; print(os.getcwd(), os.environ['ADDED']); sys.exit(7)"
    code = asyncio.run(run_python(["-c", script], log, root=tmp_path, environment={"ADDED": "yes"}))
    assert code == 7
    assert log.read_text() == f"before\n{tmp_path} yes\n"


def test_a_lock_that_is_handed_on_is_held_as_long_as_the_program_runs(tmp_path) -> None:
    path = tmp_path / "lock"

    async def run() -> bool:
        lock = try_lock(path)
        assert lock is not None
        script = (
            "import sys, time, pathlib\nwhile not pathlib.Path('end').exists(): time.sleep(.02)"
        )
        running = asyncio.create_task(
            run_python(["-c", script], tmp_path / "log", root=tmp_path, descriptors=[lock])
        )
        await asyncio.sleep(1)
        os.close(lock)  # the run that took it is gone
        held = try_lock(path) is None
        (tmp_path / "end").touch()
        assert await running == 0
        return held

    assert asyncio.run(run())
    again = try_lock(path)
    assert again is not None
    os.close(again)


def test_the_end_of_a_log_is_told_without_the_secrets_of_addresses(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ERROR: failed to connect to https (https://me:s3cr3t@host/dvc)\n")
    assert last_lines(log) == "  ERROR: failed to connect to https (https://host/dvc)"
