"""A stage as several processes: all of them know of each other, and end together."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.launch import launch, local_rank, num_processes, rank, team_size

MEMBER = """
import json, os, sys, time, pathlib
folder, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]
names = ("WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
(folder / rank).write_text(json.dumps({name: os.environ[name] for name in names}))
if rank == sys.argv[2]:
    sys.exit(3)
if sys.argv[2] != "none":
    time.sleep(60)
"""


def test_each_member_knows_its_place_and_the_others(tmp_path: Path) -> None:
    assert launch([sys.executable, "-c", MEMBER, str(tmp_path), "none"], 3) == 0
    told = [json.loads((tmp_path / str(place)).read_text()) for place in range(3)]
    assert [found["LOCAL_RANK"] for found in told] == ["0", "1", "2"]
    assert {found["WORLD_SIZE"] for found in told} == {"3"}
    assert len({(found["MASTER_ADDR"], found["MASTER_PORT"]) for found in told}) == 1
    assert told[0]["MASTER_ADDR"] == "127.0.0.1"


def test_when_one_fails_the_others_end_and_its_exit_code_is_told(tmp_path: Path) -> None:
    started = time.monotonic()
    assert launch([sys.executable, "-c", MEMBER, str(tmp_path), "1"], 2) == 3
    assert time.monotonic() - started < 30


def test_alone_a_process_is_a_team_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert (rank(), local_rank(), team_size()) == (0, 0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (rank(), local_rank(), team_size()) == (2, 1, 4)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m pipelines.finetune bleu --processes 4", 4),
        ("python -m pipelines.finetune bleu --processes=2", 2),
        ("python -m pipelines.score bleu", 1),
    ],
)
def test_a_command_line_tells_how_many_it_will_be(command: str, expected: int) -> None:
    assert num_processes(command) == expected


def test_a_stage_that_takes_no_name_refuses_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.pretrain", "bleu"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "unrecognized arguments: bleu" in done.stderr


LEAVING = """
import atexit, sys
from pipelines.launch import leave
atexit.register(print, "Python ended")
sys.stdout.write("said\\n")
leave()
print("went on")
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"RANK": "1", "WORLD_SIZE": "2"}, "said\n"), ({}, "said\nwent on\nPython ended\n")],
)
def test_a_member_leaves_with_all_it_said_before_python_ends(
    environment: dict[str, str], expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_a_member_that_was_killed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import os, time; os.environ['RANK'] == '1' and os.kill(os.getpid(), 9); time.sleep(60)"
    assert launch([sys.executable, "-c", code], 2) == 137
    assert capsys.readouterr().err == "process 2 of 2 was killed; was memory short?\n"


MEMBER_MODULE = """
import os, pathlib, signal, sys, time
from pipelines.launch import launch_if_told
launch_if_told(2)
def end(*_):
    pathlib.Path("cleared-" + os.environ["RANK"]).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
pathlib.Path("ready-" + os.environ["RANK"]).touch()
time.sleep(60)
"""


def test_who_is_asked_to_stop_asks_its_team_and_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "member.py").write_text(MEMBER_MODULE)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-m", "member"]
    with subprocess.Popen(argv, cwd=tmp_path, env=environment) as process:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        assert process.wait(60) == 143
    assert {path.name for path in tmp_path.glob("cleared-*")} == {"cleared-0", "cleared-1"}
