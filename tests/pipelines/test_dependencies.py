"""Which files of evaluators dvc.yaml does not watch, in the project's own dvc.yaml."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.config import check
from pipelines.dependencies import unwatched

PROJECT = Path(__file__).parents[2]
OWN = {"kind": "python", "function": "mine.rewards:f"}
COMPOSITE = {
    "kind": "composite",
    "parts": {"own": {"evaluator": OWN}, "bleu": {"evaluator": {"kind": "bleu"}}},
}
ALL = ("score", "finetune", "evaluate_mle", "evaluate")
"""What has lists of its own; controls share those of finetune and evaluate."""

Warn = Callable[..., list[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a project with this repository's pipeline and a module of the user's."""
    argv = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rewards.py").write_text("1 / 0  # never imported")
    return tmp_path


@pytest.fixture
def warn(root: Path) -> Warn:
    """Change params.yaml, let stages depend on a path, and ask."""

    def ask(change: Callable[[Any], Any], dependency: str = "", stages: Any = ALL) -> list[str]:
        params = yaml.safe_load((root / "params.yaml").read_text())
        change(params)
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
        for name in stages if dependency else ():
            stage = pipeline["stages"][name]
            stage.get("do", stage)["deps"].append(dependency)
        (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
        return unwatched(check(root / "params.yaml"), root)

    return ask


def use(settings: Any) -> Callable[[Any], Any]:
    return lambda params: params["evaluators"].update(own=settings)


def test_without_functions_there_is_nothing_to_watch(warn, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.dependencies.stage_definitions", pytest.fail)
    assert warn(lambda _: None) == []


def test_a_function_is_told_with_the_stages_and_the_line_to_add(warn) -> None:
    assert warn(use(OWN)) == [
        "evaluators.own: a change of mine/rewards.py would go unnoticed: dvc.yaml does not name it "
        "for score, finetune, evaluate_mle, evaluate, evaluate_control; add to the deps of each:\n"
        "    - mine/rewards.py"
    ]


@pytest.mark.parametrize("dependency", ["mine/rewards.py", "mine"])
def test_a_file_or_folder_among_the_deps_is_watched(warn, dependency) -> None:
    assert warn(use(OWN), dependency) == []


@pytest.mark.parametrize("blind", ALL)
def test_a_single_stage_that_does_not_watch_is_told(warn, blind) -> None:
    others = [name for name in ALL if name != blind]
    (warning,) = warn(use(OWN), "mine/rewards.py", others)
    assert f"does not name it for {blind}" in warning


def test_parts_of_a_composite_are_looked_into(warn) -> None:
    (warning,) = warn(use(COMPOSITE))
    assert warning.startswith("evaluators.own.parts.own.evaluator: a change of mine/rewards.py")


def test_what_a_phase_is_rewarded_by_is_fine_tunings_alone(warn) -> None:
    phases = [{"rounds": 1}, {"rounds": 1, "evaluator": COMPOSITE}]
    (warning,) = warn(lambda params: params["finetune"].update(phases=phases))
    assert warning.startswith("finetune.phases.1.evaluator.parts.own.evaluator: ")
    assert "does not name it for finetune, control;" in warning


def test_a_metric_is_evaluations_alone(warn) -> None:
    (warning,) = warn(lambda params: params["evaluate"]["metrics"].update(own=OWN))
    assert warning.startswith("evaluate.metrics.own: ")
    assert "does not name it for evaluate_mle, evaluate, evaluate_control;" in warning


def test_two_uses_of_a_file_are_one_message(warn) -> None:
    def twice(params: Any) -> None:
        params["evaluators"] |= {"own": OWN, "other": {**OWN, "options": {"x": 1}}}

    (warning,) = warn(twice)
    assert warning.startswith("evaluators.own, evaluators.other: ")


def test_an_evaluator_of_another_parameter_file_is_looked_for_in_the_group(warn, root) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    use(OWN)(params)
    (root / "other.yaml").write_text(yaml.safe_dump(params))
    (warning,) = unwatched(check(root / "other.yaml"), root)
    assert "for score, finetune, evaluate_mle, evaluate, evaluate_control;" in warning


@pytest.mark.parametrize("function", ["json:dumps", "numpy:mean", "torch.nn:ReLU"])
def test_what_is_installed_is_no_file_of_the_project(warn, function) -> None:
    assert warn(use({"kind": "python", "function": function})) == []


def test_an_environment_in_the_projects_folder_is_installed_too(warn, root, monkeypatch) -> None:
    packages = root / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "judge.py").write_text("")
    monkeypatch.syspath_prepend(packages)
    assert warn(use({"kind": "python", "function": "judge:f"})) == []


def test_a_module_that_is_not_there_is_told(warn, root) -> None:
    told = warn(use({"kind": "python", "function": "nosuch:f"}))
    assert told == [f"evaluators.own: no module 'nosuch' in {root}"]


def test_where_dvc_is_not_set_up_nothing_is_known(warn, root) -> None:
    shutil.rmtree(root / ".dvc")
    (warning,) = warn(use(OWN))
    assert warning.startswith("whether stages depend on mine/rewards.py is not known: ")
    assert "goa init" in warning
