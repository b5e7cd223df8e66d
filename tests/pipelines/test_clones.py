"""Clones for runs that nobody watches."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from goa.errors import PipelineError, SettingsError
from pipelines.clones import BusyError, Source, UnreachableError, edit_params, open_clone, resolve
from pipelines.runner import run_graph


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GOA_HOME", str(tmp_path / "home"))


def commit(toy, message: str) -> str:
    name = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *name, "commit", "-qam", message], cwd=toy.root, check=True)
    return git(toy.root, "rev-parse", "HEAD")


def git(root: Path, *arguments: str) -> str:
    argv = ["git", *arguments]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def test_a_clone_is_at_the_revision_whatever_the_folder_holds(committed_toy) -> None:
    first = git(committed_toy.root, "rev-parse", "HEAD")
    committed_toy.change("seed", 2)
    second = commit(committed_toy, "another seed")
    committed_toy.change("seed", 3)  # not committed: somebody is at work
    for revision, sha, seed in (("main", second, 2), (first, first, 1)):
        source = Source(repository=str(committed_toy.root), revision=revision)
        with open_clone(source, []) as clone:
            assert clone.sha == sha
            assert yaml.safe_load((clone.root / "params.yaml").read_text())["seed"] == seed
            assert git(clone.root, "remote", "get-url", "origin") == str(committed_toy.root)
    assert git(committed_toy.root, "status", "--porcelain") == "M params.yaml"


def test_a_new_commit_is_fetched(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root), revision="main")
    before = resolve(source)
    committed_toy.change("seed", 2)
    assert resolve(source) == before
    after = commit(committed_toy, "another seed")
    assert resolve(source) == after


def test_a_clone_goes_when_the_work_is_done_and_stays_when_it_failed(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    left = leave(source)
    with open_clone(source, ["prepare"]) as again:
        assert again.root == left
        assert (left / "trace").exists()
    assert not left.exists()


@pytest.mark.parametrize(
    ("change", "targets"),
    [({"overrides": ("seed=9",)}, []), ({"evaluators": ("a",)}, []), ({}, ["prepare"])],
)
def test_other_work_has_another_clone(committed_toy, change, targets) -> None:
    source = Source(repository=str(committed_toy.root))
    other = Source(repository=str(committed_toy.root), **change)
    with open_clone(source, []) as one, open_clone(other, targets) as another:
        assert one.root != another.root


def test_the_same_work_is_not_done_twice_at_once(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    with open_clone(source, []), pytest.raises(BusyError), open_clone(source, []):
        pass


def test_what_one_clone_pushed_another_does_not_run(committed_toy, tmp_path, monkeypatch) -> None:
    (tmp_path / "remote").mkdir()
    source = Source(repository=str(committed_toy.root), remote=str(tmp_path / "remote"))
    states = []
    for machine in ("one", "other"):
        monkeypatch.setenv("GOA_HOME", str(tmp_path / machine))
        with open_clone(source, []) as clone:
            outcome = asyncio.run(run_graph([], 2, ignore, root=clone.root, pull=True))
            asyncio.run(clone.push())
            states.append({str(state) for state in outcome.states.values()})
    assert states == [{"done"}, {"cached"}]


def test_what_the_remote_has_lost_is_made_again(committed_toy, tmp_path, monkeypatch) -> None:
    (tmp_path / "remote").mkdir()
    source = Source(repository=str(committed_toy.root), remote=str(tmp_path / "remote"))
    states = []
    for machine in ("one", "other"):
        monkeypatch.setenv("GOA_HOME", str(tmp_path / machine))
        with open_clone(source, []) as clone:
            outcome = asyncio.run(run_graph(["train"], 2, ignore, root=clone.root, pull=True))
            asyncio.run(clone.push())
            states.append({name: str(state) for name, state in outcome.states.items()})
            lost = yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]["train@b"]
            digest = lost["outs"][0]["md5"]
        (tmp_path / "remote" / "files" / "md5" / digest[:2] / digest[2:]).unlink()
    assert states[1] == {"prepare": "cached", "train@a": "cached", "train@b": "done"}


def ignore(*_: object) -> None:
    pass


def test_a_repository_that_is_away_may_come_back(tmp_path) -> None:
    with pytest.raises(UnreachableError, match="nowhere"):
        resolve(Source(repository=str(tmp_path / "nowhere")))


def test_a_remote_that_is_not_mounted_is_not_an_empty_one(committed_toy, tmp_path) -> None:
    source = Source(repository=str(committed_toy.root), remote=str(tmp_path / "remote"))
    with pytest.raises(UnreachableError, match="remote is not there"), open_clone(source, []):
        pass
    (tmp_path / "remote").mkdir()
    with open_clone(source, []) as clone:
        assert clone.has_remote


def test_a_push_that_fails_may_succeed_later(committed_toy, tmp_path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    source = Source(repository=str(committed_toy.root), remote=str(remote))
    with open_clone(source, []) as clone:
        asyncio.run(run_graph(["prepare"], 1, ignore, root=clone.root))
        remote.rmdir()
        remote.write_text("in the way")
        with pytest.raises(UnreachableError, match="dvc push failed"):
            asyncio.run(clone.push())


def test_an_unknown_revision_is_refused(committed_toy) -> None:
    with pytest.raises(PipelineError, match="no revision 'nonesuch'"):
        resolve(Source(repository=str(committed_toy.root), revision="nonesuch"))


def test_a_repository_without_a_project_is_refused(tmp_path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "empty"], check=True)
    name = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    git(tmp_path / "empty", *name, "commit", "-q", "--allow-empty", "-m", "nothing")
    source = Source(repository=str(tmp_path / "empty"))
    with pytest.raises(PipelineError, match=r"no dvc\.yaml"), open_clone(source, []):
        pass


def test_clones_that_failed_long_ago_are_deleted(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    left = leave(source)
    for days, stays in ((13, True), (15, False)):
        then = time.time() - days * 24 * 3600
        os.utime(left, (then, then))
        with open_clone(source, []):
            assert left.exists() == stays


def leave(source: Source) -> Path:
    """Fail at making "prepare", and give the folder that stays."""
    with contextlib.suppress(RuntimeError), open_clone(source, ["prepare"]) as clone:
        (clone.root / "trace").touch()
        raise RuntimeError
    return clone.root


@pytest.fixture
def edit(tmp_path) -> Callable[..., dict]:
    path = tmp_path / "params.yaml"
    path.write_text(
        "seed: 1\nfinetune: {rounds: 40, objective: {kind: x}}\nevaluators: {a: 1, b: 2}"
    )

    def do(*overrides: str, evaluators: tuple[str, ...] = ()) -> dict:
        edit_params(path, overrides, evaluators)
        return yaml.safe_load(path.read_text())

    return do


def test_overrides_are_yaml_by_key_path(edit) -> None:
    params = edit(
        "seed=5", "finetune.rounds=2", "finetune.objective={kind: y}", "finetune.rounds=3"
    )
    assert params["seed"] == 5
    assert params["finetune"] == {"rounds": 3, "objective": {"kind": "y"}}


def test_only_named_evaluators_stay_in_the_order_of_the_file(edit) -> None:
    assert edit(evaluators=("b",))["evaluators"] == {"b": 2}
    with pytest.raises(SettingsError, match=r"no evaluator 'c'; known: b"):
        edit(evaluators=("c",))


@pytest.mark.parametrize("override", ["seed", "sed=1", "finetune.round=1", "seed.x=1", "a.b.c=1"])
def test_an_override_that_names_nothing_is_refused(edit, override) -> None:
    with pytest.raises(SettingsError, match=override):
        edit(override)
