"""Clones for runs that nobody watches."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from goa.errors import PipelineError, SettingsError
from pipelines import clones, project
from pipelines.clones import BusyError, Clone, Source, open_clone, resolve
from pipelines.mirrors import UnreachableError
from pipelines.runner import run_graph
from tests.pipelines.repositories import commit, git


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GOA_HOME", str(tmp_path / "home"))


def test_a_clone_is_at_the_revision_whatever_the_folder_holds(committed_toy, tmp_path) -> None:
    first = git(committed_toy.root, "rev-parse", "HEAD")
    committed_toy.change("seed", 2)
    second = commit(committed_toy.root, "another seed")
    committed_toy.change("seed", 3)  # not committed: somebody is at work
    for revision, sha, seed in (("main", second, 2), (first, first, 1)):
        source = Source(repository=str(committed_toy.root), revision=revision)
        with open_clone(source, []) as clone:
            assert clone.sha == sha
            assert yaml.safe_load((clone.root / "params.yaml").read_text())["seed"] == seed
            assert git(clone.root, "remote", "get-url", "origin") == str(committed_toy.root)
            assert clone.root.parent == tmp_path / "home" / "clones"
    assert git(committed_toy.root, "status", "--porcelain") == "M params.yaml"


@pytest.mark.parametrize(
    ("repository", "remote"),
    [
        ("https://me:s3cr3t@host/x.git", None),
        ("https://s3cr3t@host/x.git", None),
        ("ssh://git:s3cr3t@host/x.git", None),
        ("/x", "webdavs://me:s3cr3t@host/dvc"),
        ("/x", "https://host/dvc?sig=s3cr3t"),
    ],
)
def test_a_secret_in_an_address_is_refused_unseen_before_anything_is_fetched(
    tmp_path: Path, repository: str, remote: str | None
) -> None:
    with pytest.raises(SettingsError, match="leave out user, password and keys") as told:
        resolve(Source(repository=repository, remote=remote))
    assert "s3cr3t" not in str(told.value)
    assert not (tmp_path / "home").exists()


def test_a_clone_says_what_params_yaml_shall_say_instead(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root), overrides=("seed=9",), evaluators=("b",))
    with open_clone(source, []) as clone:
        params = yaml.safe_load((clone.root / "params.yaml").read_text())
    assert params["seed"] == 9
    assert list(params["evaluators"]) == ["b"]


def test_clones_of_one_repository_share_a_cache_and_change_no_file_of_it(
    committed_toy, tmp_path
) -> None:
    (tmp_path / "remote").mkdir()
    used = []
    for seed in (1, 2):
        committed_toy.change("seed", seed)
        commit(committed_toy.root, "seed")
        source = Source(repository=str(committed_toy.root), remote=str(tmp_path / "remote"))
        with open_clone(source, []) as clone:
            listed = project.dvc(clone.root, "config", "--list").splitlines()
            used.append(next(line for line in listed if line.startswith("cache.dir=")))
            assert git(clone.root, "status", "--porcelain") == ""
    assert used[0] == used[1]
    assert used[0].startswith(f"cache.dir={tmp_path / 'home' / 'cache'}/toy-")


def test_what_was_left_half_made_is_made_anew(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    with open_clone(source, []) as clone:
        root = clone.root
    (root.parent / f"{root.name}.unfinished" / ".git").mkdir(parents=True)
    with open_clone(source, []) as clone:
        assert clone.root == root


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


def test_another_remote_or_revision_has_another_clone(committed_toy, tmp_path) -> None:
    (tmp_path / "remote").mkdir()
    address = str(committed_toy.root)
    first = git(committed_toy.root, "rev-parse", "HEAD")
    committed_toy.change("seed", 2)
    commit(committed_toy.root, "another seed")
    with contextlib.ExitStack() as stack:
        roots = [
            stack.enter_context(open_clone(source, [])).root
            for source in (
                Source(repository=address),
                Source(repository=address, revision=first),
                Source(repository=address, remote=str(tmp_path / "remote")),
            )
        ]
    assert len(set(roots)) == 3


def test_a_dot_in_a_project_s_name_does_not_make_different_work_the_same(
    committed_toy, tmp_path
) -> None:
    dotted = committed_toy.root.rename(tmp_path / "toy.v2")
    source = Source(repository=str(dotted))
    with open_clone(source, []) as one, open_clone(source, ["prepare"]) as another:
        assert one.root != another.root
    with open_clone(source, []), pytest.raises(BusyError), open_clone(source, []):
        pass


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


def test_a_remote_that_is_not_mounted_is_not_an_empty_one(committed_toy, tmp_path) -> None:
    source = Source(repository=str(committed_toy.root), remote=str(tmp_path / "remote"))
    with pytest.raises(UnreachableError, match="remote is not there"), open_clone(source, []):
        pass
    (tmp_path / "remote").mkdir()
    with open_clone(source, []) as clone:
        assert clone.has_remote


def test_a_remote_that_is_no_folder_is_not_looked_for(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root), remote="s3://bucket/goa")
    with open_clone(source, []) as clone:
        assert clone.has_remote


@pytest.fixture
def pushes(monkeypatch) -> list[list[str]]:
    """Note what DVC is told instead of telling it."""
    told: list[list[str]] = []

    async def run(arguments: Sequence[str], log: Path, *, root: Path) -> int:
        assert log.is_relative_to(root)
        log.write_text(log.read_text() + "pushed\n")
        told.append([*arguments])
        return 0

    monkeypatch.setattr(clones, "run_python", run)
    return told


def test_what_has_been_made_is_pushed_with_what_made_it(done_toy, pushes) -> None:
    log = done_toy.root / ".goa" / "logs" / "push.log"
    log.parent.mkdir(parents=True)
    for _ in range(2):
        asyncio.run(Clone(root=done_toy.root, sha="", has_remote=True).push())
    (first, _) = pushes
    # Waits for DVC's lock, which stages of other runs in the cache may hold.
    assert first[:5] == ["-m", "dvc", "--wait-for-lock", "push", "--run-cache"]
    assert set(first[5:]) == set(done_toy.lock()["stages"])
    assert log.read_text() == "pushed\n"


def test_without_a_remote_nothing_is_pushed(done_toy, pushes) -> None:
    asyncio.run(Clone(root=done_toy.root, sha="", has_remote=False).push())
    assert pushes == []


def test_before_anything_was_made_nothing_is_pushed(toy, pushes) -> None:
    asyncio.run(Clone(root=toy.root, sha="", has_remote=True).push())
    assert pushes == []


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


def test_a_repository_without_a_project_is_refused(tmp_path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "empty"], check=True)
    commit(tmp_path / "empty", "nothing")
    source = Source(repository=str(tmp_path / "empty"))
    with pytest.raises(PipelineError, match=r"no dvc\.yaml"), open_clone(source, []):
        pass


def test_what_git_says_is_told_where_a_clone_cannot_be_made(committed_toy, tmp_path) -> None:
    source = Source(repository=str(committed_toy.root))
    resolve(source)
    root = tmp_path / "home" / "clones" / "x"
    root.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(PipelineError, match=f"{committed_toy.root} at {'0' * 40}: fatal: .*0000"):
        clones._make(source, "0" * 40, root)
    assert not root.exists()


def test_clones_that_failed_long_ago_are_deleted(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    left = leave(source)
    for days, stays in ((13, True), (15, False)):
        then = time.time() - days * 24 * 3600
        os.utime(left, (then, then))
        with open_clone(source, []):
            assert left.exists() == stays


def test_a_clone_that_is_in_use_is_not_deleted_however_old(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root))
    with open_clone(source, ["prepare"]) as clone:
        then = time.time() - 15 * 24 * 3600
        os.utime(clone.root, (then, then))
        with open_clone(source, []):
            assert (clone.root / "dvc.yaml").exists()


def leave(source: Source) -> Path:
    """Fail at making "prepare", and give the folder that stays."""
    with contextlib.suppress(RuntimeError), open_clone(source, ["prepare"]) as clone:
        (clone.root / "trace").touch()
        raise RuntimeError
    return clone.root
