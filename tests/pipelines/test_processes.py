"""Programs that a run starts."""

import os
import sys
from pathlib import Path

from pipelines.processes import last_lines, stage_environment


def test_python_in_dvc_yaml_is_the_interpreter_that_runs_goa(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert stage_environment()["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"


def test_the_end_of_a_log_is_its_last_twenty_lines(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 9000 + b"\n" + "".join(f"line {n}\n" for n in range(25)).encode())
    assert last_lines(log).splitlines() == [f"  line {n}" for n in range(5, 25)]
