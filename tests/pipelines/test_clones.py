"""Clones for runs that nobody watches."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from goa.errors import PipelineError, SettingsError
from pipelines import clones, locks, project
from pipelines.clones import (
    BusyError,
    Clone,
    Source,
    UnreachableError,
    edit_params,
    open_clone,
    resolve,
)
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


def test_a_clone_is_at_the_revision_whatever_the_folder_holds(committed_toy, tmp_path) -> None:
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


@pytest.mark.parametrize(
    "address", ["git@host:me/x.git", "ssh://git@host/x", "s3://goa/dvc", "[", ""]
)
def test_addresses_without_a_secret_are_not_refused(address: str) -> None:
    clones._refuse_password("repository", address)


def test_a_new_commit_is_fetched(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root), revision="main")
    before = resolve(source)
    committed_toy.change("seed", 2)
    assert resolve(source) == before
    after = commit(committed_toy, "another seed")
    assert resolve(source) == after


def test_a_commit_that_is_known_is_not_fetched_again(committed_toy) -> None:
    sha = resolve(Source(repository=str(committed_toy.root)))
    committed_toy.root.joinpath(".git").rename(committed_toy.root / "away")
    assert resolve(Source(repository=str(committed_toy.root), revision=sha)) == sha
    with pytest.raises(UnreachableError):
        resolve(Source(repository=str(committed_toy.root), revision="main"))


def test_a_branch_that_is_gone_names_no_revision_any_more(committed_toy) -> None:
    git(committed_toy.root, "branch", "short-lived")
    source = Source(repository=str(committed_toy.root), revision="short-lived")
    assert resolve(source) == git(committed_toy.root, "rev-parse", "HEAD")
    git(committed_toy.root, "branch", "-D", "short-lived")
    with pytest.raises(PipelineError, match="no revision 'short-lived'"):
        resolve(source)


def test_a_tag_with_a_message_names_its_commit(committed_toy) -> None:
    name = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    git(committed_toy.root, *name, "tag", "-a", "v1", "-m", "first")
    source = Source(repository=str(committed_toy.root), revision="v1")
    assert resolve(source) == git(committed_toy.root, "rev-parse", "HEAD")


def test_one_at_a_time_fetches(committed_toy) -> None:
    source = Source(repository=str(committed_toy.root), revision="main")
    before = resolve(source)
    (path,) = (clones.home() / "mirrors").glob("*.lock")
    lock = locks.try_lock(path)
    assert lock is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(resolve, source)
        time.sleep(0.5)
        assert not waiting.done()
        os.close(lock)
        assert waiting.result(60) == before


def test_a_mirror_that_was_not_finished_is_made_again(committed_toy, monkeypatch, tmp_path) -> None:
    source = Source(repository=str(committed_toy.root))
    # As when the machine goes in the middle of it.
    _fake_git(tmp_path / "bin", 'for last; do :; done; mkdir "$last"; touch "$last/half"; exit 1')
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        with pytest.raises(UnreachableError):
            resolve(source)
    assert resolve(source) == git(committed_toy.root, "rev-parse", "HEAD")


def test_git_asks_nobody_for_a_password(tmp_path, monkeypatch) -> None:
    _fake_git(tmp_path / "bin", 'echo "prompt: $GIT_TERMINAL_PROMPT" >&2; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(UnreachableError, match="prompt: 0"):
        resolve(Source(repository="https://example.org/private.git"))


def test_a_machine_without_git_is_told_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match="git is not installed"):
        resolve(Source(repository="https://example.org/project"))


def _fake_git(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)


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
        git(
            committed_toy.root,
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "commit",
            "-qam",
            "seed",
            "--allow-empty",
        )
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
    commit(committed_toy, "another seed")
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
