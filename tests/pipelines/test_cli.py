"""The command line: what it prints, and its exit codes."""

import contextlib
import dataclasses
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from goa.errors import SettingsError, TrackingError
from pipelines.cli import app
from pipelines.commands import pipeline
from pipelines.deploy import Deployed
from pipelines.execution import StageState
from pipelines.publish import PublishSummary
from pipelines.runner import RunOutcome
from pipelines.stopping import Stopped

SUMMARY = PublishSummary(
    uri="sqlite:///x", pipeline_id="1", page=None, added=("a",), known=(), skipped={}
)


def goa(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toy's parameters pass for goa's."""
    # Whoever was imported meanwhile would keep what stands in for the time of a test.
    for name in ("pipelines.score_files", "pipelines.writer"):
        importlib.import_module(name)
    checked = SimpleNamespace(run=SimpleNamespace(slots=3))
    monkeypatch.setattr("goa.config.check", lambda path: checked)


@pytest.fixture
def here(toy, monkeypatch):
    """Stand in a toy project."""
    monkeypatch.chdir(toy.root)
    return toy


class Fakes:
    """What a run is made of, replaced: records what it is called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slots = 0
        self.targets: list[str] = []
        self.published: list[str | None] = []
        self.outcome = RunOutcome(states={"prepare": StageState.DONE}, failures=())
        self.summary = SUMMARY
        self.outage: Exception | None = None
        monkeypatch.setattr("pipelines.runner.run_graph", self._run)
        monkeypatch.setattr("pipelines.publish.publish", self._publish)
        monkeypatch.setattr("pipelines.live.LivePublisher", lambda *_: contextlib.nullcontext())

    async def _run(self, targets, slots, listener, root) -> RunOutcome:
        self.targets, self.slots = targets, slots
        return self.outcome

    def _publish(self, root: Path, execution: str | None = None) -> PublishSummary:
        self.published.append(execution)
        if self.outage:
            raise self.outage
        return self.summary


@pytest.fixture
def fakes(here, monkeypatch) -> Fakes:
    return Fakes(monkeypatch)


def test_what_a_user_can_cause_is_one_message_and_exit_code_2(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = goa("status")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "no dvc.yaml here" in result.stderr
    assert "Traceback" not in result.output


def test_a_run_brings_the_project_up_to_date(here) -> None:
    result = goa("run", "train@a", "--no-publish")
    assert result.exit_code == 0, result.output
    assert "train@a: done" in result.stderr
    assert "dvc plots show" in result.stdout
    assert here.ran() == {"prepare", "train@a"}


def test_a_failed_stage_is_exit_code_1_with_the_end_of_its_log(here) -> None:
    here.tell("prepare", "fail")
    result = goa("run", "--no-publish")
    assert result.exit_code == 1
    assert "toy: told to fail" in result.stderr


def test_an_unknown_target_is_exit_code_2(here) -> None:
    result = goa("run", "trian", "--no-publish")
    assert result.exit_code == 2
    assert "did you mean train?" in result.stderr


def test_bad_settings_stop_a_run_before_anything_is_made(toy, monkeypatch) -> None:
    def refuse(path: Path) -> None:
        raise SettingsError(f"{path}: 1 problem")

    monkeypatch.chdir(toy.root)
    monkeypatch.setattr(sys.modules["goa.config"], "check", refuse)
    assert goa("run").exit_code == 2
    assert not (toy.root / ".goa").exists()


@pytest.mark.parametrize(
    ("number", "expected", "words"),
    [(signal.SIGINT, 130, "interrupted; run it"), (signal.SIGTERM, 143, "stopped; run it")],
)
def test_ctrl_c_and_term_end_everything_before_goa_itself(toy, number, expected, words) -> None:
    toy.tell("prepare", "hang")
    # A shell starts what runs in its background deaf to interrupts, and children inherit that.
    code = """
import signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)
module = types.ModuleType("goa.config")
module.check = lambda path: types.SimpleNamespace(run=types.SimpleNamespace(slots=2))
sys.modules["goa.config"] = module
from pipelines.cli import app
app(["run", "--no-publish"])
"""
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=toy.root, stderr=subprocess.PIPE, text=True) as process:
        pids = toy.root / "prepare.pids"
        while not (pids.exists() and pids.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(timeout=60) == expected
        assert process.stderr is not None
        said = process.stderr.read()
    assert words in said
    assert "Traceback" not in said
    for running in map(int, pids.read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(running, 0)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [(KeyboardInterrupt(), 130, "interrupted\n"), (Stopped(signal.SIGTERM), 143, "stopped\n")],
)
def test_what_would_not_go_on_is_not_advised_to(
    here, monkeypatch, error: BaseException, code: int, words: str
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr("goa.config.check", stop)
    result = goa("check")
    assert (result.exit_code, result.stderr) == (code, words)


def test_slots_come_from_the_parameters_unless_given(fakes) -> None:
    goa("run")
    assert fakes.slots == 3
    goa("run", "train", "compare", "--slots", "5")
    assert (fakes.slots, fakes.targets) == (5, ["train", "compare"])


def test_a_run_is_published_at_its_end(fakes) -> None:
    result = goa("run")
    assert "recorded in sqlite:///x: 1 new" in result.stdout
    assert len(fakes.published) == 1
    assert fakes.published[0] is not None


def test_a_run_that_had_nothing_to_do_makes_no_new_execution(fakes) -> None:
    fakes.outcome = RunOutcome(states={"prepare": StageState.FRESH}, failures=())
    goa("run")
    assert fakes.published == [None]


def test_no_publish_leaves_tracking_alone(fakes) -> None:
    goa("run", "--no-publish")
    assert fakes.published == []


@pytest.mark.parametrize("outage", [TrackingError("no answer"), RuntimeError("broken")])
def test_tracking_that_fails_does_not_fail_the_run(outage, fakes) -> None:
    fakes.outage = outage
    result = goa("run")
    assert result.exit_code == 0
    assert "not recorded in MLflow" in result.stderr


@pytest.fixture
def compared(fakes, tmp_path, monkeypatch) -> None:
    """Leave a comparison, and let a run bring it up to date."""
    fakes.outcome = RunOutcome(states={"compare": StageState.DONE}, failures=())
    path = tmp_path / "comparison.json"
    path.write_text("{}")
    monkeypatch.setattr(pipeline, "COMPARISON", path)
    monkeypatch.setattr("goa.report.comparison.load_comparison", lambda path: path)
    monkeypatch.setattr("goa.report.terminal.comparison_table", lambda _: "the table")
    monkeypatch.setattr("goa.report.terminal.verdict_line", lambda _: "the verdict")
    monkeypatch.setattr("goa.report.terminal.bar_line", lambda _: "the bar")
    monkeypatch.setattr("goa.report.terminal.alarm_lines", lambda _: iter(["an alarm", "another"]))


@pytest.mark.usefixtures("compared")
def test_the_comparison_is_shown_where_the_run_made_one() -> None:
    lines = goa("run").stdout.splitlines()
    assert lines[1:6] == ["the table", "the verdict", "the bar", "an alarm", "another"]
    assert "report.html" in lines[6]
    assert "mlflow ui --backend-store-uri sqlite:///" in lines[-1]


@pytest.mark.usefixtures("compared")
def test_the_comparison_of_an_earlier_run_is_not_shown(fakes) -> None:
    fakes.outcome = RunOutcome(states={"prepare": StageState.DONE}, failures=())
    result = goa("run", "prepare")
    assert "the table" not in result.stdout
    assert "report.html" not in result.stdout


@pytest.mark.parametrize("warnings", [[], ["a.py goes unnoticed", "b.py too"]])
def test_check_says_that_all_is_well_and_warns_beside(warnings, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.dependencies.unwatched", lambda params, root: warnings)
    result = goa("check", "--params", "some.yaml")
    assert result.exit_code == 0
    assert result.stdout == "some.yaml: no problem found\n"
    assert result.stderr.splitlines() == [f"warning: {warning}" for warning in warnings]


def test_publish_says_what_it_recorded(fakes) -> None:
    assert goa("publish").stdout == "recorded in sqlite:///x: 1 new, 0 known\n"


def test_what_was_recorded_can_be_read_by_a_program(fakes) -> None:
    found = json.loads(goa("publish", "--json").stdout)
    assert found == json.loads(json.dumps(dataclasses.asdict(SUMMARY)))
    assert found["added"] == list(SUMMARY.added)


def test_deploying_says_what_was_made_and_which_worker_to_start(monkeypatch) -> None:
    made = Deployed(api="http://there/api", names=("a", "b"), pools=("gpus",), made=("gpus",))
    asked: list[Any] = []
    monkeypatch.setattr("pipelines.deploy.deploy", lambda *given: asked.append(given) or made)
    result = goa("deploy", "--gpus", "3")
    assert asked == [(Path(), 3)]
    assert result.stdout.splitlines() == [
        "deployed to http://there/api: a, b",
        "made the work pool gpus, for processes",
        "a worker, with MLFLOW_TRACKING_URI set: prefect worker start --pool gpus",
    ]


def test_a_way_back_can_be_read_by_a_program(monkeypatch) -> None:
    monkeypatch.setattr("pipelines.rollback.roll_back", lambda: ("goa", 3, 2))
    found = json.loads(goa("rollback", "--json").stdout)
    assert found == {"model": "goa", "former": 3, "champion": 2}


def test_publish_says_what_it_left_out_and_why(fakes) -> None:
    fakes.summary = dataclasses.replace(SUMMARY, skipped={"b": "out/b is not what dvc.lock says"})
    assert goa("publish").stderr == "b: not recorded: out/b is not what dvc.lock says\n"


def test_init_makes_the_folder_ready(tmp_path, monkeypatch) -> None:
    made: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.publish.initialise_store", made.append)
    result = goa("init")
    assert result.exit_code == 0, result.output
    assert made == [Path()]
    assert (tmp_path / ".dvc").is_dir()
    assert (tmp_path / ".goa").is_dir()


def test_status_lists_what_is_stale(here) -> None:
    result = goa("status")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["prepare", "stale"],
        ["train@a", "stale"],
        ["train@b", "stale"],
        ["compare", "stale"],
    ]


def test_the_status_can_be_read_by_a_program(here) -> None:
    assert goa("run", "train", "--no-publish").exit_code == 0
    here.change("evaluators.b.kind", "chrf")
    assert json.loads(goa("status", "--json").stdout) == [
        {"name": "prepare", "state": "up to date", "reasons": []},
        {"name": "train@a", "state": "up to date", "reasons": []},
        {
            "name": "train@b",
            "state": "stale",
            "reasons": ["params.yaml: evaluators.b modified"],
        },
        {"name": "compare", "state": "stale", "reasons": ["never run"]},
    ]


def test_the_command_starts_without_its_heavy_parts() -> None:
    heavy = ["dvc", "mlflow", "prefect", "torch", "pydantic"]
    code = f"import sys, pipelines.cli; sys.exit(str([x for x in {heavy} if x in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


def test_the_report_is_shown_in_the_browser(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: not shown.append(address))
    page = tmp_path / "out" / "comparison" / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()

    assert goa("report").stdout == "out/comparison/report.html\n"
    assert shown == []
    assert goa("report", "--open").exit_code == 0
    assert shown == [page.as_uri()]


def test_a_report_that_is_not_there_is_exit_code_2(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = goa("report", "--open")
    assert result.exit_code == 2
    assert "there is no report yet; goa run writes it" in result.stderr


def test_a_machine_without_a_browser_is_told_so(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    page = tmp_path / "out" / "comparison" / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    result = goa("report", "--open")
    assert result.exit_code == 2
    assert "no browser could be started" in result.stderr


def test_what_the_system_refuses_is_one_message_and_exit_code_2(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = goa("score", "-e", "bleu", "-c", "x", "--params", "y" * 5000)
    assert result.exit_code == 2
    assert result.stderr.endswith("y: File name too long\n")


def test_a_message_never_commands_the_terminal(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = goa("score", "-e", "bleu", "-c", "\x1b[31m")
    assert result.exit_code == 2
    assert r"error: \x1b[31m: no such file" in result.stderr


def test_a_reader_that_has_had_enough_is_no_error(here, monkeypatch) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("goa.config.check", closed)
    result = goa("check")
    assert (result.exit_code, result.output) == (1, "")


def test_texts_whose_line_breaks_are_spelt_out_are_counted(monkeypatch) -> None:
    monkeypatch.setattr("pipelines.writer.open_writer", lambda *_: None)
    monkeypatch.setattr("pipelines.write_lines.write_lines", lambda *_: 1200)
    result = goa("generate", "-p", "bleu")
    assert result.stderr == "1,200 texts have line breaks, spelt out as \\n; --json keeps them\n"
