"""The whole graph on a tiny corpus: from nothing to the comparison, as a user would run it."""

import csv
import itertools
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from goa.tracking.cost import load_cost
from goa.tracking.spool import read_spool

PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.xdist_group("end_to_end")

TINY: dict[str, Any] = {
    "data": {"corpus": {"kind": "demo", "num_examples": 240}},
    "policy": {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "vocab_size": 300},
    "pretrain": {"epochs": 2, "validation": {"every": 2}},
    "generate": {
        "num_sources": 30,
        "strategies": {
            "greedy": {"kind": "greedy", "max_tokens": 12},
            "sample": {"kind": "sample", "num_candidates": 4, "max_tokens": 12},
        },
    },
    "finetune": {
        "rounds": 4,
        "sources_per_round": 8,
        "candidates": {"num_candidates": 4, "max_tokens": 12},
        "validation": {"every": 1, "num_sources": 8},
    },
    "evaluate": {
        "strategies": {
            "greedy": {"kind": "greedy", "max_tokens": 12},
            "beam": {"kind": "beam", "num_beams": 2, "max_tokens": 12},
        }
    },
    "evaluators": {"rougeL": None},  # two arms are enough
    "controls": {"arms": ["constant"]},
    "compare": {"resamples": 50, "num_examples": 3},
}
POLICIES = ["bleu-17", "rule-17"]
ARMS = ["bleu", "rule", "bleu-constant"]
CONTROLS = ["bleu-constant-17"]


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change some keys of nested mappings; strategies are replaced whole, None takes a key out."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            del merged[key]
            continue
        inner = isinstance(value, dict) and key != "strategies" and isinstance(base.get(key), dict)
        merged[key] = merge(base[key], value) if inner else value
    return merged


def make_project(folder: Path) -> Path:
    """Copy what a user would have, with parameters that run in seconds."""
    for name in ("goa", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    for name in ("dvc.yaml", ".dvcignore", "params.yaml", ".gitignore"):
        shutil.copy(PROJECT / name, folder / name)
    change_params(folder, TINY)
    return folder


def change_params(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "params.yaml"
    path.write_text(
        yaml.safe_dump(merge(yaml.safe_load(path.read_text()), changes), sort_keys=False)
    )


def run(folder: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the environment's in the project, without a terminal."""
    binaries = str(Path(sys.executable).parent)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    } | {
        "PATH": os.pathsep.join([binaries, os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "COLUMNS": "200",  # so that names of arms are not folded
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project after `goa run`, without a git checkout."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    done = run(folder, "goa", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


def stale(folder: Path) -> set[str]:
    """Ask DVC which stages are stale by themselves."""
    done = run(folder, "dvc", "status", "--json")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_one_worker_runs_all_of_these(request: pytest.FixtureRequest) -> None:
    # Else each of them makes the project anew, for minutes.
    if request.config.option.__dict__.get("loadgroup"):
        assert request.node.nodeid.endswith("@end_to_end")


def test_one_command_ends_with_a_comparison_of_every_policy_by_every_metric(
    project: Path,
) -> None:
    comparison = json.loads((project / "out/comparison/comparison.json").read_text())
    text = json.dumps(comparison)
    for name in ["mle", *POLICIES, *CONTROLS]:
        assert (project / "out/policies" / name / "model.safetensors").exists()
        assert (project / "metrics/evaluate" / f"{name}.json").exists()
        assert f'"{name}"' in text
        assert name == "mle" or (project / "out/guards" / f"{name}.json").exists()
    assert [each["arm"] for each in comparison["peakiness"]] == ["mle", *ARMS]
    report = (project / "out/comparison/report.md").read_text()
    said = (project / "said").read_text()
    for name in ["mle", *POLICIES, *CONTROLS]:
        assert name in report
    for arm in ["mle", *ARMS]:
        assert arm in said
    assert "out/comparison/report.html" in said


def test_nothing_is_left_to_do_and_no_half_made_output_lies_about(project: Path) -> None:
    assert stale(project) == set()
    assert not [path for path in (project / ".goa/unfinished").rglob("*") if path.is_file()]
    assert not list((project / ".goa/checkpoints").glob("*/*"))


def test_one_evaluators_settings_make_stale_only_what_depends_on_them(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    change_params(project, {"evaluators": {"rule": {"diversity": 0.4}}})
    try:
        # Every policy is measured by every evaluator, so every evaluation depends on the rule.
        assert stale(project) == {
            "score@rule",
            "finetune@rule-17",
            "evaluate_mle",
            *(f"evaluate@{name}" for name in POLICIES),
            *(f"evaluate_control@{name}" for name in CONTROLS),
            "compare",
        }
    finally:
        (project / "params.yaml").write_text(before)


def test_the_divergence_starts_at_zero_and_history_is_kept(project: Path) -> None:
    with (project / "out/history/bleu-17.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert next(iter(rows[0])) == "update"
    assert {"validation_reward", "kl", "entropy", "length", "reward"} <= rows[0].keys()
    assert {"validation_length", "validation_chrf", "validation_rougeL"} <= rows[0].keys()
    assert [row["update"] for row in rows] == ["0", "1", "2", "3", "4"]
    # The first update's candidates are scored by two policies that are still the same.
    assert float(rows[1]["kl"]) == 0.0
    assert float(rows[4]["kl"]) > 0.0


def test_every_stage_but_the_comparison_says_what_it_cost(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    costs = {
        stage: load_cost(project / f"out/costs/{stage}.json")
        for stage in stages.keys() - {"compare"}
    }
    assert {cost.stage for cost in costs.values()} == costs.keys()
    assert all(
        cost.seconds > sum(work.seconds for work in cost.work.values()) for cost in costs.values()
    )
    assert costs["evaluate_mle"].work.keys() == {
        "greedy",
        "beam",
        *params["evaluate"]["baseline_strategies"],
    }
    assert costs["generate"].work["generation"].sentences == 30 * 5
    assert costs["score@rule"].work["scoring"].tokens == costs["generate"].work["generation"].tokens
    training = costs["finetune@bleu-17"].work["training"]
    assert training.sentences == 4 * 8 * 4  # rounds, sources, candidates
    assert training.sentences <= training.tokens <= 12 * training.sentences


def test_every_policy_has_a_card_with_the_numbers_of_its_run_and_without_its_folder(
    project: Path,
) -> None:
    for name in ["mle", *POLICIES, *CONTROLS]:
        card = (project / "out/policies" / name / "README.md").read_text()
        file = "pretrain" if name == "mle" else f"finetune/{name}"
        measured = json.loads((project / f"metrics/{file}.json").read_text())
        assert measured
        assert all(f"\n| {key} | {value} |\n" in card for key, value in measured.items())
        assert "\n## Pretraining\n\nMaximum likelihood" in card
        assert f'folder = "out/policies/{name}"' in card
        assert str(project) not in card


def test_progress_ends_where_the_work_does(project: Path) -> None:
    for stage in ("pretrain", "finetune@bleu-17"):
        (spool,) = (project / ".goa/spool" / stage).glob("*.jsonl")
        last = [record for record in read_spool(spool) if record["kind"] == "progress"][-1]
        assert last["done"] == last["total"] > 1


def test_bad_settings_end_with_one_message_and_exit_code_2(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    change_params(folder, {"finetune": {"round": 3}, "pretrain": {"epochs": 0}})
    done = run(folder, "goa", "run")
    assert done.returncode == 2
    assert "finetune.round: unknown setting; did you mean rounds?" in done.stderr
    assert "pretrain.epochs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()


def test_a_stage_run_alone_says_what_it_lacks(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    assert run(folder, "dvc", "init", "--no-scm", "-q").returncode == 0
    done = run(folder, sys.executable, "-m", "pipelines.pretrain")
    assert done.returncode == 2
    assert "out/data: missing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_dvc_repro_ends_with_the_same_lock(project: Path, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    assert run(folder, "dvc", "init", "--no-scm", "-q").returncode == 0
    done = run(folder, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = (results(path) for path in (project, folder))
    assert ours == theirs


def results(folder: Path) -> Any:
    """Read dvc.lock without what stages cost, which is measured, and the page that shows it."""
    content = yaml.safe_load((folder / "dvc.lock").read_text())
    for entry in content["stages"].values():
        for kind in ("deps", "outs"):
            entry[kind] = [
                item
                for item in entry.get(kind, [])
                if not item["path"].startswith(("out/costs", "out/comparison"))
            ]
    return content


EVERYTHING_THAT_HAS_STATE = {
    "divergence": {"weight": 0.05, "target": 0.5},
    "likelihood_weight": {"start": 1.0, "end": 0.1, "rounds": 20},
    "silent_sources": "resample",
    "curriculum": {"by": "length", "start": 0.5, "rounds": 20},
    "phases": [
        {"objective": {"kind": "ppo"}, "credit": {"kind": "attention"}, "rounds": 20},
        {"objective": {"kind": "mixer"}, "rounds": 10, "optimiser_state": "reset"},
        {
            "objective": {"kind": "evolution", "num_pairs": 2},
            "rounds": 10,
            "likelihood_weight": 0.0,
            "silent_sources": "skip",
        },
    ],
}


@pytest.mark.long
@pytest.mark.parametrize(
    "finetune",
    [{"rounds": 40}, EVERYTHING_THAT_HAS_STATE],
    ids=["one phase", "everything that has state"],
)
def test_a_stage_killed_at_random_moments_ends_with_the_same_policy(
    project: Path, tmp_path: Path, finetune: dict[str, Any]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    change_params(folder, {"finetune": finetune})
    argv = [sys.executable, "-m", "pipelines.finetune", "bleu-17"]
    weights = folder / "out/policies/bleu-17/model.safetensors"
    done = run(folder, *argv)
    assert done.returncode == 0, done.stderr
    pace = seconds_per_round(folder / ".goa/spool/finetune@bleu-17")
    expected, history = weights.read_bytes(), (folder / "out/history/bleu-17.csv").read_text()
    shutil.rmtree(folder / "out/policies/bleu-17")

    # Each life is a little longer than the one before, whatever the machine's speed.
    moments, reached = random.Random(6), []
    checkpoints = folder / ".goa/checkpoints/finetune@bleu-17"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    for life in range(10):
        started = subprocess.Popen(argv, cwd=folder, env=environment)
        goal = max([*reached, 0]) + moments.randint(0, 2)
        while newest(checkpoints) < goal and started.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.random() * 2 * pace)
        assert started.poll() is None, f"life {life} ended by itself"
        started.kill()
        started.wait()
        reached.append(newest(checkpoints))
        assert not weights.exists()
    assert reached == sorted(reached)
    assert 0 < reached[-1] < 40
    last = run(folder, *argv)
    assert last.returncode == 0
    assert f"going on from the checkpoint of update {reached[-1]}\n" in last.stderr
    assert weights.read_bytes() == expected
    assert (folder / "out/history/bleu-17.csv").read_text() == history
    assert not list(checkpoints.glob("*"))


@pytest.mark.long
def test_a_stage_that_is_sent_term_goes_on_from_the_very_update_it_was_at(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    # Between its ends it looks at nothing, and so writes no checkpoint by itself.
    change_params(folder, {"finetune": {"rounds": 40, "validation": {"every": 40}}})
    argv = [sys.executable, "-m", "pipelines.finetune", "bleu-17"]
    weights = folder / "out/policies/bleu-17/model.safetensors"
    assert run(folder, *argv).returncode == 0
    expected, history = weights.read_bytes(), (folder / "out/history/bleu-17.csv").read_text()
    shutil.rmtree(folder / "out/policies/bleu-17")
    spools = folder / ".goa/spool/finetune@bleu-17"
    shutil.rmtree(spools)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as started:
        while updates_done(spools) < 2:
            assert started.poll() is None
            time.sleep(0.05)
        started.terminate()
        assert started.wait(60) == 143
        assert started.stderr is not None
        said = started.stderr.read()
    found = re.search(r"the checkpoint of update (\d+) is written\n", said)
    assert found is not None
    assert said.endswith("finetune@bleu-17: stopped; run it again to go on\n")
    assert 2 <= int(found[1]) < 40
    assert not weights.exists()
    last = run(folder, *argv)
    assert last.returncode == 0
    assert f"going on from the checkpoint of update {found[1]}\n" in last.stderr
    assert weights.read_bytes() == expected
    assert (folder / "out/history/bleu-17.csv").read_text() == history


def updates_done(spools: Path) -> int:
    """Say how far a training is, by its spool."""
    records = [record for path in spools.glob("*.jsonl") for record in read_spool(path)]
    return max((each["done"] for each in records if each["kind"] == "progress"), default=0)


def seconds_per_round(spools: Path) -> float:
    """Take the median over all rounds of a training that was not disturbed."""
    spool = max(spools.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    times = [record["time"] for record in read_spool(spool) if record["kind"] == "metrics"]
    return statistics.median(later - sooner for sooner, later in itertools.pairwise(times))


def newest(checkpoints: Path) -> int:
    """Name the newest checkpoint's update; 0 if there is none."""
    return max((int(path.name) for path in checkpoints.glob("*/0*")), default=0)


@pytest.mark.long
def test_processes_that_share_the_weights_out_end_as_one_process(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sharded"
    shutil.copytree(project, folder, symlinks=True)
    change_params(folder, {"policy": {"dropout": 0.0}, "finetune": {"rounds": 2}})
    policies = []
    for fsdp, size in ((False, "1"), (True, "2")):
        change_params(folder, {"compute": {"fsdp": fsdp}})
        done = run(folder, sys.executable, "-m", "pipelines.pretrain", "--processes", size)
        assert done.returncode == 0, done.stderr
        policies.append(load_file(folder / "out/policies/mle/model.safetensors"))
    alone, together = policies
    assert alone.keys() == together.keys()
    size = sum(float(weight.square().sum()) for weight in alone.values())
    apart = sum(float((alone[name] - together[name]).square().sum()) for name in alone)
    # Not nearer: Adam takes whole steps of the rounding of gradients that are really 0.
    assert 0 < apart < 1e-5 * size
    done = run(folder, sys.executable, "-m", "pipelines.finetune", "bleu-17", "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert load_file(folder / "out/policies/bleu-17/model.safetensors").keys() == alone.keys()


@pytest.mark.long
def test_a_stage_begun_with_other_parameters_says_what_is_other(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    change_params(folder, {"finetune": {"rounds": 40}})
    argv = [sys.executable, "-m", "pipelines.finetune", "bleu-17"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    started = subprocess.Popen(argv, cwd=folder, env=environment)
    while newest(folder / ".goa/checkpoints/finetune@bleu-17") == 0:
        assert started.poll() is None
        time.sleep(0.05)
    started.kill()
    started.wait()
    change_params(folder, {"finetune": {"rounds": 3}})
    done = run(folder, *argv)
    assert done.returncode == 0
    expected = "starting afresh, since the last try was another: finetune.rounds was 40, is 3"
    assert expected in done.stderr


@pytest.mark.long
def test_experiments_metrics_and_plots_work_as_dvcs_users_expect(
    project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    (folder / ".dvc/config.local").unlink(missing_ok=True)
    (folder / ".dvc/config").write_text("")
    for command in (
        ["git", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"],
    ):
        assert run(folder, *command).returncode == 0
    done = run(folder, "dvc", "exp", "run", "-n", "other", "-S", "compare.num_examples=2")
    assert done.returncode == 0, done.stderr
    shown = run(folder, "dvc", "exp", "show", "--json", "--no-pager")
    assert '"other"' in shown.stdout
    assert "validation_reward" in shown.stdout
    changed = run(folder, "dvc", "exp", "run", "-S", "seed=18", "score@rule")
    assert changed.returncode == 0, changed.stderr
    assert "metrics/score/rule.json" in run(folder, "dvc", "metrics", "diff", "--json").stdout
    plots = run(folder, "dvc", "plots", "show", "--json", "out/history/bleu-17.csv")
    assert "validation_reward" in plots.stdout
