"""README.md: every command runs, every block of parameters passes, every link leads somewhere.

Commands are taken from the page, in its order, and run in a small project. A new one is run without
being named here. Those that are not run here are named with the test that does it.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.config import check
from tests.command_lines import fences, goa_calls, parse, shell_lines
from tests.test_end_to_end import change_params, make_project, merge

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "README.md").read_text(encoding="utf-8")
COMMANDS = shell_lines(PAGE)
SERVING = (
    "tests/pipelines/test_serve.py"
    "::test_servers_are_up_before_anything_is_deployed_and_the_worker_comes_last"
)
ELSEWHERE = {
    "make test": "tests/docs/test_readme.py::test_the_tests_are_what_ci_runs",
    "goa report --open": "tests/pipelines/test_cli.py::test_the_report_is_shown_in_the_browser",
    "goa serve": SERVING,
    "goa rollback": "tests/pipelines/test_promote.py::test_rolling_back_names_who_and_when",
}
ANSWERS = {"goa preflight bleu": {0, 1}, "goa promote": {0, 1}, "goa doctor": {0, 1}}
"""Exit codes of commands whose answer hangs on the machine, or on what so short a run learnt."""
SMALL: dict[str, Any] = {
    "evaluate": {"baseline_strategies": {}},
    "controls": {"evaluators": [], "arms": []},
}


def test_every_block_says_what_it_is() -> None:
    assert {language for language, _ in fences(PAGE)} == {"sh", "yaml", "python"}
    assert PAGE.count("```") == 2 * len(fences(PAGE))
    assert not re.search(r"^ {4}\S", re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S), re.M)


def test_what_is_not_run_here_is_held_by_a_test_that_there_is() -> None:
    assert ELSEWHERE.keys() | ANSWERS.keys() <= set(COMMANDS)
    for test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_tests_are_what_ci_runs(tmp_path: Path) -> None:
    assert "make test" in (PROJECT / ".ci" / "run").read_text().splitlines()
    (tmp_path / "dev").touch()
    argv = ["make", "--dry-run", "test", f"VENV={tmp_path}"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert f"{tmp_path}/bin/python -m pytest" in done.stdout


@pytest.mark.parametrize("line", COMMANDS)
def test_every_call_of_goa_is_understood(line: str) -> None:
    for call in goa_calls(line):
        parse(call)


def test_every_command_named_in_a_sentence_is_understood() -> None:
    sentences = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    calls = [call for code in re.findall(r"`(goa [^`]+)`", sentences) for call in goa_calls(code)]
    assert calls
    for call in calls:
        parse(call)
    targets = set(re.findall(r"`make ([a-z-]+)`", sentences))
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("text", [text for language, text in fences(PAGE) if language == "yaml"])
def test_a_block_of_parameters_passes_the_check(text: str, tmp_path: Path) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for name, section in yaml.safe_load(text).items():
        whole = name in {"policy", "evaluators"}
        params[name] = section if whole else merge(params[name], section)
    if "data" in yaml.safe_load(text):
        params["data"]["corpus"] = yaml.safe_load(text)["data"]["corpus"]
    params["controls"]["evaluators"] = []
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    check(tmp_path / "params.yaml")


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE)
    assert len(targets) > 10
    assert all((PROJECT / target).exists() for target in targets)


def test_the_function_it_shows_gives_numbers_between_0_and_1() -> None:
    (code,) = [text for language, text in fences(PAGE) if language == "python"]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)

    class Sample:
        candidate = "three words here"

    assert names["brief"]([Sample()]) == [0.25]


def test_the_table_has_the_numbers_of_the_log() -> None:
    log = (PROJECT / "docs" / "log.md").read_text(encoding="utf-8")
    title = "## 2026-11-28 Multi30k, the whole file"
    entry = log.partition(title)[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+), (greedy|beam 5) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 4
    for measure, way, cells in rows:
        line = re.search(rf"^\| {way} {re.escape(measure)} \| (.+)$", entry, re.MULTILINE)
        assert line is not None
        in_the_log = re.findall(r"\d+\.\d+", line[1])
        assert all(number in in_the_log for number in re.findall(r"\d+\.\d+", cells))


@pytest.mark.long
def test_every_command_runs_in_a_small_project(tmp_path: Path) -> None:
    folder = a_clone(tmp_path)
    failed = []
    for line in COMMANDS:
        if line not in ELSEWHERE:
            done = in_shell(folder, line)
            if done.returncode not in ANSWERS.get(line, {0}):
                failed.append(f"{line}: {done.returncode}\n{done.stdout}{done.stderr}")
    assert not failed, "\n".join(failed)
    assert len((folder / "texts.txt").read_text().splitlines()) == 2
    assert (folder / "out/comparison/report.html").exists()


def a_clone(folder: Path) -> Path:
    """Give a clone with an environment, parameters that run in seconds, and two texts."""
    make_project(folder)
    change_params(folder, SMALL)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["evaluators"] = {"bleu": {"kind": "bleu"}}
    params["evaluate"]["baseline_strategies"] = {}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "prefect.yaml"):
        shutil.copy(PROJECT / name, folder / name)
    (folder / "sources.txt").write_text("name [Alma] food [Thai]\nname [Bice] food [French]\n")
    (folder / "references.txt").write_text("Alma serves Thai food.\nBice serves French food.\n")
    environment = folder / ".venv"
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name not in {"run", "dev"}:
            (environment / part.name).symlink_to(part)
    (environment / "run").touch()
    for command in (
        "git init -q",
        "git add -A",
        "git -c user.name=a -c user.email=a@b commit -qm a",
    ):
        assert in_shell(folder, command).returncode == 0
    return folder


def in_shell(folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    } | {
        "PATH": os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MAKEFLAGS", None)
    argv = ["bash", "-c", line]
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
