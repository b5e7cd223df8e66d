"""A stage writes whole outputs or none, and fails with one message."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from goa.errors import DataError
from goa.tracking import meter
from goa.tracking.cost import Work, load_cost
from goa.tracking.spool import read_spool
from pipelines.stage import Stage, open_stage

DVC_YAML = """
stages:
  one:
    cmd: python -m nothing
    deps: [code, raw.txt]
    params: [rate]
    outs:
      - out/one
      - out/costs/one.json
  two:
    cmd: python -m nothing
    outs: [out/two]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a DVC project of one stage."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/part.py").write_text("x = 1\n")
    (tmp_path / "raw.txt").write_text("raw\n")
    (tmp_path / "params.yaml").write_text("rate: 1\nelsewhere: 1\n")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fingerprint() -> str:
    with open_stage("one") as stage:
        return stage.fingerprint


def test_an_output_appears_whole_at_the_end(project: Path) -> None:
    path = Path("out/one")
    path.mkdir(parents=True)
    (path / "old").write_text("old")
    with open_stage("one") as stage, stage.output(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
        assert [child.name for child in path.iterdir()] == ["old"]
    assert [child.name for child in path.iterdir()] == ["new"]


def test_an_output_that_is_a_link_is_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    root = tmp_path / "project"
    (root / "out").mkdir(parents=True)
    monkeypatch.chdir(root)
    (root / "out/one").symlink_to(elsewhere)
    (root / "out/two").symlink_to(elsewhere / "mine")
    stage = Stage(name="one", made_of={}, spool=SimpleNamespace(), progress=SimpleNamespace())  # type: ignore[arg-type]
    for name in ("one", "two"):
        with stage.output(Path("out") / name) as temporary:
            temporary.write_text("new")
        assert not (root / "out" / name).is_symlink()
        assert (root / "out" / name).read_text() == "new"
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    assert (elsewhere / "mine").read_text() == "mine"


def test_a_stage_that_fails_half_way_leaves_the_output_as_it_was(project: Path) -> None:
    def fail(stage: Stage) -> None:
        with stage.output(Path("out/one")) as temporary:
            temporary.write_text("half")
            raise DataError("line 3 is not JSON")

    with pytest.raises(SystemExit), open_stage("one") as stage:
        fail(stage)
    assert not Path("out/one").exists()
    with open_stage("one") as stage, stage.output(Path("out/one")) as temporary:
        assert not temporary.exists()
        temporary.write_text("whole")
    assert Path("out/one").read_text() == "whole"


@pytest.mark.parametrize(
    ("visible", "names"), [("1,GPU-f", ["1", "GPU-f"]), ("", []), (None, None)]
)
def test_a_stage_says_which_gpus_it_was_given(
    project: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str] | None
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with open_stage("one") as stage:
        pass
    said = [record for record in read_spool(stage.spool.path) if record["kind"] == "gpus"]
    assert [record["names"] for record in said] == ([] if names is None else [names])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("a.tsv, line 3: 2 columns, expected 3"), "one: a.tsv, line 3: 2 columns"),
        (OSError(28, "No space left on device", "out/x"), "one: out/x: No space left on device"),
    ],
)
def test_an_error_is_one_message_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    with pytest.raises(SystemExit) as caught, open_stage("one"):
        raise error
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_fault_of_the_code_is_not_hidden(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("one"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("code/part.py").write_text("x = 2\n"),
        lambda: Path("code/new.py").write_text(""),
        lambda: Path("raw.txt").write_text("other\n"),
        lambda: Path("params.yaml").write_text("rate: 2\nelsewhere: 1\n"),
        lambda: Path("dvc.yaml").write_text(DVC_YAML.replace("nothing", "something")),
    ],
    ids=["code", "new code", "data", "parameter", "command"],
)
def test_another_fingerprint_has_other_checkpoints(
    project: Path, change: Callable[[], object]
) -> None:
    before = fingerprint()
    change()
    assert fingerprint() != before


def test_what_the_stage_does_not_depend_on_leaves_the_fingerprint(project: Path) -> None:
    before = fingerprint()
    Path("params.yaml").write_text("rate: 1\nelsewhere: 2\n")
    Path("code/__pycache__").mkdir()
    Path("code/__pycache__/part.pyc").write_text("")
    assert fingerprint() == before


def test_the_mark_of_a_finished_stage_is_there_only_if_it_finished(project: Path) -> None:
    done = Path(".goa/done/one")
    with open_stage("one") as stage:
        assert not done.exists()
    assert done.read_text() == stage.fingerprint
    with pytest.raises(SystemExit), open_stage("one"):
        raise DataError("x")
    assert not done.exists()


def test_checkpoints_go_when_the_stage_has_finished_and_stay_when_it_fails(project: Path) -> None:
    def fail(stage: Stage) -> None:
        stage.checkpoints.mkdir(parents=True, exist_ok=True)
        raise DataError("x")

    with pytest.raises(SystemExit), open_stage("one") as stage:
        fail(stage)
    assert stage.checkpoints.is_dir()
    with open_stage("one") as again:
        assert again.checkpoints == stage.checkpoints
    assert not stage.checkpoints.exists()


def test_checkpoints_that_machines_share_go_alone(project: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GOA_CHECKPOINTS", str(tmp_path / "shared"))
    others = tmp_path / "shared" / "one" / "of-another-seed"
    others.mkdir(parents=True)
    with open_stage("one") as stage:
        assert stage.checkpoints == others.with_name(stage.fingerprint)
        stage.checkpoints.mkdir(exist_ok=True)
    assert not stage.checkpoints.exists()
    assert others.exists()


def test_metrics_are_json(project: Path) -> None:
    with open_stage("one") as stage:
        stage.metrics(Path("metrics/one.json"), {"loss": 0.5})
    assert json.loads(Path("metrics/one.json").read_text()) == {"loss": 0.5}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give a clock that stands still between our orders."""
    made = SimpleNamespace(now=50.0)
    monkeypatch.setattr(meter, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_what_a_stage_cost_is_an_output_of_it(project: Path, clock: SimpleNamespace) -> None:
    work = Work(seconds=2.0, sentences=3, tokens=40)
    with open_stage("one") as stage:
        stage.work["training"] = work
        clock.now += 7
    cost = load_cost(Path("out/costs/one.json"))
    assert (cost.stage, cost.seconds, cost.work) == ("one", 7.0, {"training": work})
    # Else a finished stage could not be committed: its outputs would be newer than its end.
    marked = Path(".goa/done/one").stat().st_mtime_ns
    assert Path("out/costs/one.json").stat().st_ctime_ns <= marked


def test_a_stage_that_was_tried_before_costs_all_its_tries(
    project: Path, clock: SimpleNamespace
) -> None:
    def fail() -> None:
        clock.now += 20
        raise DataError("x")

    for _ in range(2):
        with pytest.raises(SystemExit), open_stage("one"):
            fail()
    assert not Path("out/costs/one.json").exists()
    with open_stage("one"):
        clock.now += 1
    assert load_cost(Path("out/costs/one.json")).seconds == 20 + 20 + 1
    with open_stage("one"):  # run again: those tries led to another result
        clock.now += 3
    assert load_cost(Path("out/costs/one.json")).seconds == 3


def test_tries_with_other_parameters_are_not_counted(project: Path, clock: SimpleNamespace) -> None:
    def fail() -> None:
        clock.now += 20
        raise DataError("x")

    with pytest.raises(SystemExit), open_stage("one"):
        fail()
    Path("params.yaml").write_text("rate: 2\n")
    with open_stage("one"):
        clock.now += 1
    assert load_cost(Path("out/costs/one.json")).seconds == 1


def test_the_cost_so_far_goes_where_machines_share_checkpoints(
    project: Path, clock: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        clock.now += 20
        raise DataError("x")

    monkeypatch.setenv("GOA_CHECKPOINTS", str(tmp_path / "shared"))
    with pytest.raises(SystemExit), open_stage("one"):
        fail()
    shutil.rmtree(".goa")  # another machine
    with open_stage("one"):
        clock.now += 1
    assert load_cost(Path("out/costs/one.json")).seconds == 21


def test_a_stage_whose_cost_is_no_output_writes_none(project: Path) -> None:
    with open_stage("two"):
        pass
    assert not Path("out/costs").exists()


def test_only_the_first_of_a_team_writes_what_it_cost(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with open_stage("one"):
        pass
    assert not Path("out/costs").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_that_is_asked_to_stop_leaves_nothing_half_made(
    project: Path, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    def be_stopped(stage: Stage) -> None:
        with stage.output(Path("out/one")) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended, open_stage("one") as stage:
        be_stopped(stage)
    assert ended.value.code == code
    assert not Path("out/one").exists()
    assert not Path(".goa/done/one").exists()
    assert capsys.readouterr().err == "one: stopped; run it again to go on\n"


def test_a_stage_that_runs_out_of_memory_says_what_to_lower(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, open_stage("one"):
        torch.empty(10**15)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: one: not enough memory: ")
    assert "Lower what it holds at a time" in said


@pytest.mark.usefixtures("project")
def test_a_fault_of_the_code_is_shown_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="^a fault$"), open_stage("one"):
        raise RuntimeError("a fault")
