"""Tests of publishing a project."""

import contextlib
import hashlib
import json
import shutil
import socket
import sqlite3
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from goa.errors import DataError, SettingsError, TrackingError
from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.tracking.cost import Work, save_cost
from goa.tracking.spool import Spool
from goa.tracking.store import connect
from pipelines import publish as module
from pipelines.graph import lock_entries
from pipelines.publish import initialise_store, project_store, publish
from pipelines.results import Result, stage_run
from tests.costs import make_cost
from tests.pipelines.recorded import DVC_YAML, Project


@pytest.fixture
def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_every_result_of_the_lock_file_becomes_a_run(project: Project) -> None:
    summary = publish(project.root, "monday")

    assert summary.added == ("prepare", "pretrain", "compare")
    runs = project.runs()
    parent = runs["monday"]
    assert parent.info.run_id == summary.pipeline_id
    assert runs.keys() == {"monday", *summary.added}
    for stage in summary.added:
        assert runs[stage].info.status == "FINISHED"
        assert runs[stage].data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert parent.data.tags[f"goa.run.{stage}"] == runs[stage].info.run_id


def test_a_training_stage_shows_its_parameters_curves_data_and_model(project: Project) -> None:
    publish(project.root, "monday")

    run = project.runs()["pretrain"]
    assert run.data.params == {
        "seed": "17",
        "pretrain.epochs": "2",
        "pretrain.objective.kind": "mle",
    }
    assert project.points("pretrain", "loss") == [(0, 5.0), (10, 3.25), (20, 2.5)]
    assert project.points("pretrain", "validation_loss") == [(0, 4.0), (20, 3.5)]
    assert run.data.metrics.keys() == {
        "loss",
        "validation_loss",
        "final_validation_loss",
        "updates",
    }
    digest = hashlib.md5(b"out/data").hexdigest() + ".dir"
    assert [item.dataset.digest for item in run.inputs.dataset_inputs] == [digest]
    assert run.data.tags["dvc.dep.out/data"] == digest
    assert len(run.outputs.model_outputs) == 1
    lock = (project.root / "dvc.lock").read_bytes()
    assert run.data.tags["dvc.lock.sha256"] == hashlib.sha256(lock).hexdigest()


def test_an_adapter_alone_is_kept_and_is_no_model(project: Project, policy: Policy) -> None:
    folder = project.root / "out" / "policies" / "mle"
    shutil.rmtree(folder)
    add_adapter(policy, AdapterSettings(rank=1), seed=1)
    save_policy(policy, folder)
    project.write_lock()

    publish(project.root, "monday")

    run = project.runs()["pretrain"]
    assert not run.outputs or not run.outputs.model_outputs
    client = connect(project_store(project.root)).client
    kept = [item.path for item in client.list_artifacts(run.info.run_id, "mle")]
    assert "mle/adapter_model.safetensors" in kept


def test_the_comparison_is_with_the_pipeline_and_its_stage(project: Project) -> None:
    publish(project.root, "monday")

    client = connect(project_store(project.root)).client
    for run in (project.runs()["monday"], project.runs()["compare"]):
        assert run.data.metrics == {"mle.bleu": 0.31}
        assert "comparison" in [item.path for item in client.list_artifacts(run.info.run_id)]
    assert project.runs()["monday"].data.params["pretrain.epochs"] == "2"


def test_runs_can_be_found_by_what_was_trained_on_what(project: Project) -> None:
    publish(project.root, "monday")

    tags = project.runs()["pretrain"].data.tags
    found = {name: text for name, text in tags.items() if name in ("goa.arm", "goa.evaluator")}
    assert found == {"goa.arm": "mle"}
    assert (tags["goa.objective"], tags["goa.seed"]) == ("mle", "17")
    trained = Result(root=project.root, stage="finetune@bleu-17", entry={"cmd": "x"})
    assert module.stage_run(trained, {}).tags == {
        "dvc.stage": "finetune@bleu-17",
        "dvc.cmd": "x",
        "goa.arm": "bleu",
        "goa.evaluator": "bleu",
        "goa.policy": "bleu-17",
        "goa.seed": "17",
    }


def test_an_execution_keeps_its_lock_file(project: Project, tmp_path: Path) -> None:
    summary = publish(project.root, "monday")

    client = connect(project_store(project.root)).client
    kept = Path(client.download_artifacts(summary.pipeline_id, "dvc.lock", str(tmp_path)))
    assert kept.read_bytes() == (project.root / "dvc.lock").read_bytes()
    assert summary.page is None


@pytest.mark.parametrize("end", ["", "/"])
def test_a_server_has_a_page_of_the_execution(
    project: Project, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    behind = connect(project_store(project.root))  # what the server would keep the runs in
    monkeypatch.setattr("goa.tracking.publisher.connect", lambda _: behind)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@mlflow.example.org:5000{end}")

    summary = publish(project.root, "monday")

    assert summary.page == (
        f"http://mlflow.example.org:5000/#/experiments/{behind.experiment_id}"
        f"/runs/{summary.pipeline_id}"
    )
    assert "secret" not in summary.uri


def test_another_lock_file_is_another_execution(project: Project) -> None:
    publish(project.root, "monday")
    (project.root / "metrics" / "compare.json").write_text("{}")
    project.write_lock()

    assert publish(project.root).added == ("compare",)

    lock = hashlib.sha256((project.root / "dvc.lock").read_bytes()).hexdigest()
    connection = connect(project_store(project.root))
    found = connection.client.search_runs(
        [connection.experiment_id], "tags.`goa.kind` = 'pipeline'"
    )
    assert {run.info.run_name for run in found} == {"monday", f"lock-{lock[:12]}"}


def test_publishing_again_adds_nothing(project: Project) -> None:
    publish(project.root, "monday")
    once = {name: run.to_dictionary() for name, run in project.runs().items()}

    summary = publish(project.root)

    assert (summary.added, summary.known) == ((), ("prepare", "pretrain", "compare"))
    assert {name: run.to_dictionary() for name, run in project.runs().items()} == once


def test_the_database_is_made_before_anything_is_published(
    project: Project, migrated_database: Path
) -> None:
    (project.root / "mlflow.db").unlink()
    initialise_store(project.root)
    assert tables(project.root / "mlflow.db") == tables(migrated_database)


def tables(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_cached_results_show_in_the_next_execution_even_if_their_files_are_gone(
    project: Project,
) -> None:
    publish(project.root, "monday")
    shutil.rmtree(project.root / "out")

    summary = publish(project.root, "tuesday")

    runs = project.runs()
    assert summary.known == ("prepare", "pretrain", "compare")
    assert runs["tuesday"].data.tags["goa.run.pretrain"] == runs["pretrain"].info.run_id


def test_outputs_that_are_not_those_of_the_lock_file_are_not_published(project: Project) -> None:
    (project.root / "metrics" / "prepare.json").write_text("{}")
    (project.root / "out" / "policies" / "mle" / "model.safetensors").unlink()

    summary = publish(project.root, "monday")

    assert summary.added == ("compare",)
    assert "metrics/prepare.json is not what dvc.lock says" in summary.skipped["prepare"]
    assert "run dvc repro or dvc checkout" in summary.skipped["pretrain"]


def test_a_stage_that_dvc_yaml_has_no_more_is_left_out(project: Project) -> None:
    content = yaml.safe_load(DVC_YAML)
    del content["stages"]["compare"]
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(content))

    assert publish(project.root, "monday").added == ("prepare", "pretrain")


def test_an_outage_is_over_in_seconds_and_the_replay_completes_the_execution(
    project: Project, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
        with pytest.raises(TrackingError, match="run `goa publish`"):
            publish(project.root, "monday")
    assert time.monotonic() - start < 10

    summary = publish(project.root)

    assert summary.added == ("prepare", "pretrain", "compare")
    assert project.runs().keys() == {"monday", *summary.added}


@pytest.mark.parametrize("note", ["{", "[]", '{"dvc.lock.sha256": "LOCK"}'])
def test_a_note_that_cannot_be_read_is_none(project: Project, note: str) -> None:
    publish(project.root, "monday")
    lock = hashlib.sha256((project.root / "dvc.lock").read_bytes()).hexdigest()
    (project.root / ".goa" / "execution.json").write_text(note.replace("LOCK", lock))

    summary = publish(project.root)

    assert summary.added == ()
    assert project.runs().keys() == {"monday", *summary.known}


def test_points_have_the_time_at_which_they_were_spooled(project: Project) -> None:
    spool = project.spool()
    spool.metrics(0, {"update": 0, "loss": 5.0, "validation_loss": 4.0})
    spool.metrics(10, {"update": 10, "loss": 3.25})
    spool.metrics(20, {"update": 20, "loss": 2.5, "validation_loss": 3.5})
    records = [json.loads(line) for line in spool.path.read_text().splitlines()]
    times = [1000.0, 1060.0, 1125.5]
    rewritten = [record | {"time": at} for record, at in zip(records, times, strict=True)]
    spool.path.write_text("".join(f"{json.dumps(record)}\n" for record in rewritten))

    publish(project.root, "monday")

    run = project.runs()["pretrain"]
    client = connect(project_store(project.root)).client
    found = [point.timestamp for point in client.get_metric_history(run.info.run_id, "loss")]
    assert found == [round(time * 1000) for time in times]
    assert run.info.start_time == found[0]


def test_what_only_the_spool_says_is_published_too(project: Project) -> None:
    spool = Spool(project.root / ".goa" / "spool" / "compare" / "abc123.jsonl")
    spool.metrics(0, {"pairs_per_second": 12.5})

    publish(project.root, "monday")

    assert project.points("compare", "pairs_per_second") == [(0, 12.5)]


def test_the_spool_of_another_result_is_not_taken_for_this_one(project: Project) -> None:
    project.spool().metrics(0, {"loss": 9.0})
    assert stage_run(_result(project, "pretrain"), {}).live_key is None


def test_a_history_that_is_no_history_names_file_and_line(project: Project) -> None:
    (project.root / "out" / "history" / "mle.csv").write_text("update,loss\n0,5.0\n10,high\n")
    project.write_lock()

    with pytest.raises(DataError, match=r"out/history/mle\.csv, line 3: .*'high'"):
        publish(project.root, "monday")


@pytest.mark.parametrize("content", ["", '{"updates": '])
def test_metrics_that_are_no_json_name_the_file(project: Project, content: str) -> None:
    (project.root / "metrics" / "pretrain.json").write_text(content)
    project.write_lock()

    with pytest.raises(DataError, match=r"metrics/pretrain\.json: not JSON: "):
        publish(project.root, "monday")


def test_the_experiment_is_a_setting(project: Project) -> None:
    (project.root / "params.yaml").write_text("tracking: {experiment: multi30k}\n")

    assert project_store(project.root).experiment == "multi30k"


def test_a_wrong_tracking_setting_is_named(project: Project) -> None:
    (project.root / "params.yaml").write_text("tracking: {experimnt: multi30k}\n")

    with pytest.raises(SettingsError, match="did you mean experiment"):
        project_store(project.root)


def test_a_commit_is_clean_when_only_results_differ_from_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "goa")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "goa@example.org")
    git = ["git", "-C", str(project.root)]
    (project.root / ".gitignore").write_text("/out/\n/.goa/\n/mlflow.db*\n")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "all"], check=True)
    (project.root / "dvc.lock").write_text("stages: {}\n")
    clean = module.git_tags(project.root)
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    changed = module.git_tags(project.root)

    assert (len(clean["git.sha"]), clean["git.dirty"]) == (40, "false")
    assert changed == {**clean, "git.dirty": "true"}


def test_without_git_there_are_no_git_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module.git_tags(tmp_path) == {}


def test_outside_git_there_are_no_git_tags(project: Project) -> None:
    assert module.git_tags(project.root) == {}


def test_what_a_stage_cost_is_among_its_metrics_and_makes_no_other_result(
    project: Project,
) -> None:
    path = project.root / "out/costs/pretrain.json"
    path.parent.mkdir()
    cost = make_cost(
        seconds=100.0,
        peak_memory=2000,
        energy=50.0,
        work={"training": Work(seconds=40.0, sentences=10, tokens=200)},
    )
    save_cost(path, cost)
    before = _result(project, "pretrain")
    items = {"path": "out/costs/pretrain.json", "md5": "5" * 32}
    after = replace(before, entry={**before.entry, "outs": [*before.entry["outs"], items]})

    assert after.key == before.key
    assert module.final_metrics(after) == module.final_metrics(before) | {
        "cost.seconds": 100.0,
        "cost.peak_memory": 2000.0,
        "cost.energy": 50.0,
        "cost.training.tokens_per_second": 5.0,
    }
    assert "out/costs/pretrain.json" in (after.difference() or "")


def _result(project: Project, stage: str) -> Result:
    return Result(root=project.root, stage=stage, entry=lock_entries(project.root)[stage])
