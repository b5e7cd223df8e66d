"""Every block of docs/own-evaluator.md, done as the page says, in a project of its own."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from goa.config import check
from pipelines.dependencies import unwatched

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "own-evaluator.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n# (\S+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
STAGES = ("score", "finetune", "evaluate", "evaluate_mle")
"""What the page says depends on the file."""


def run(root: Path, script: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "NO_PROXY": "127.0.0.1"}
    argv = [sys.executable, script]
    done = subprocess.run(
        argv, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def promised(script: str) -> str:
    """Find what the page says that a script prints: the comment on its last line."""
    return next(text for _, name, text in BLOCKS if name == script).rpartition("# ")[2].strip()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def root(tmp_path: Path, port: int) -> Path:
    """Give a project with all that the page says to write, at a port that is free."""
    argv = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    shutil.copy(PROJECT / "dvc.yaml", tmp_path)
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for language, name, text in BLOCKS:
        if name == "params.yaml":
            params["evaluators"] |= yaml.safe_load(text.replace("8080", str(port)))["evaluators"]
        elif language == "python":
            (tmp_path / name).write_text(text)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return tmp_path


@pytest.fixture
def _server(root: Path, port: int) -> Iterator[None]:
    argv = [sys.executable, "server.py", str(port)]
    with subprocess.Popen(argv, cwd=root, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=10).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                time.sleep(0.02)
        yield
        process.terminate()


def test_every_block_names_its_file() -> None:
    assert [name for _, name, _ in BLOCKS] == [
        "rewards.py",
        "params.yaml",
        "dvc.yaml",
        "try_rewards.py",
        "server.py",
        "params.yaml",
        "try_server.py",
    ]
    assert PAGE.count("```") == 2 * len(BLOCKS)


def test_the_function_scores_as_the_page_says(root) -> None:
    assert run(root, "try_rewards.py") == promised("try_rewards.py") == "(0.5, 1.0, 0.0)"


@pytest.mark.usefixtures("_server")
def test_the_server_scores_as_the_page_says(root) -> None:
    assert run(root, "try_server.py") == promised("try_server.py") == "(0.25, 0.625)"


def test_the_line_for_dvc_is_what_the_check_asks_for(root) -> None:
    params = check(root / "params.yaml")
    (line,) = [text for _, name, text in BLOCKS if name == "dvc.yaml"]
    (warning,) = unwatched(params, root)
    assert warning.endswith(f"\n    {line.strip()}")
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    for name in STAGES:
        stage = pipeline["stages"][name]
        stage.get("do", stage)["deps"] += yaml.safe_load(line)
    (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    assert unwatched(params, root) == []
    assert all(f"`{name}`" in PAGE for name in STAGES)
