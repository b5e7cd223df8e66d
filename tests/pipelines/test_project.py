"""Folders are made ready, once."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goa.errors import PipelineError
from pipelines.graph import stale_stages
from pipelines.project import dvc, prepare_project


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "tmp" not in path.parts
    }


def config(root: Path, name: str = "config") -> str:
    path = root / ".dvc" / name
    return path.read_text() if path.exists() else ""


def test_a_plain_folder_becomes_a_project_without_git(tmp_path) -> None:
    prepare_project(tmp_path)
    assert "no_scm = True" in config(tmp_path)
    assert (tmp_path / ".goa" / ".gitignore").read_text() == "*\n"


def test_a_git_repository_becomes_a_project_with_git(tmp_path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    prepare_project(tmp_path)
    assert (tmp_path / ".dvc" / "config").exists()
    assert "no_scm" not in config(tmp_path)


def test_a_folder_inside_a_git_repository_becomes_a_project_of_its_own(tmp_path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    inner = tmp_path / "inner"
    inner.mkdir()
    prepare_project(inner)
    assert (inner / ".dvc").is_dir()
    assert "no_scm" not in config(inner)


def test_sources_unpacked_without_git_get_a_local_setting_only(git_toy) -> None:
    shutil.rmtree(git_toy.root / ".git")
    before = config(git_toy.root)
    prepare_project(git_toy.root)
    assert config(git_toy.root) == before
    assert "no_scm = true" in config(git_toy.root, "config.local")
    assert "prepare" in stale_stages(git_toy.root)


@pytest.mark.parametrize("kind", ["toy", "git_toy"])
def test_a_ready_project_is_left_as_it_is(kind, request) -> None:
    root = request.getfixturevalue(kind).root
    prepare_project(root)
    before = contents(root)
    prepare_project(root)
    assert contents(root) == before


def test_two_at_once_do_not_disturb_each_other(tmp_path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(prepare_project, [tmp_path, tmp_path]):
            pass
    assert (tmp_path / ".dvc" / "config").exists()


def test_a_refusal_of_dvc_is_passed_on(toy) -> None:
    (toy.root / ".dvc" / "config").write_text("[core]\n    nonsense = 1\n")
    with pytest.raises(PipelineError, match="nonsense"):
        prepare_project(toy.root)


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(PipelineError, match="nowhere"):
        prepare_project(tmp_path / "nowhere")


def test_what_dvc_refuses_is_told_without_the_secret_of_an_address(tmp_path) -> None:
    prepare_project(tmp_path)
    address = "https://me:s3cr3t@host/dvc"
    dvc(tmp_path, "remote", "add", "--local", "store", address)
    with pytest.raises(PipelineError, match="https://host/dvc") as told:
        dvc(tmp_path, "remote", "add", "--local", "store", address)
    assert "s3cr3t" not in str(told.value)
