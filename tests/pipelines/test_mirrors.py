"""Mirrors of repositories that clones are made from."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goa.errors import PipelineError
from pipelines.locks import try_lock
from pipelines.mirrors import Mirror, UnreachableError
from tests.pipelines.repositories import commit, git


def test_a_new_commit_is_fetched(committed_toy) -> None:
    mirror = Mirror(str(committed_toy.root))
    before = mirror.commit("main")
    committed_toy.change("seed", 2)
    assert mirror.commit("main") == before
    after = commit(committed_toy.root, "another seed")
    assert mirror.commit("main") == after


def test_a_commit_that_is_known_is_not_fetched_again(committed_toy) -> None:
    sha = Mirror(str(committed_toy.root)).commit("HEAD")
    committed_toy.root.joinpath(".git").rename(committed_toy.root / "away")
    assert Mirror(str(committed_toy.root)).commit(sha) == sha
    with pytest.raises(UnreachableError):
        Mirror(str(committed_toy.root)).commit("main")


def test_a_commit_is_fetched_where_nothing_is_there_yet(committed_toy) -> None:
    sha = git(committed_toy.root, "rev-parse", "HEAD")
    assert Mirror(str(committed_toy.root)).commit(sha) == sha


def test_a_branch_that_is_gone_names_no_revision_any_more(committed_toy) -> None:
    git(committed_toy.root, "branch", "short-lived")
    mirror = Mirror(str(committed_toy.root))
    assert mirror.commit("short-lived") == git(committed_toy.root, "rev-parse", "HEAD")
    git(committed_toy.root, "branch", "-D", "short-lived")
    with pytest.raises(PipelineError, match="no revision 'short-lived'"):
        mirror.commit("short-lived")


def test_a_tag_with_a_message_names_its_commit(committed_toy) -> None:
    git(committed_toy.root, "tag", "-a", "v1", "-m", "first")
    mirror = Mirror(str(committed_toy.root))
    assert mirror.commit("v1") == git(committed_toy.root, "rev-parse", "HEAD")


def test_one_at_a_time_fetches(committed_toy) -> None:
    mirror = Mirror(str(committed_toy.root))
    before = mirror.commit("main")
    lock = try_lock(mirror.path.with_suffix(".lock"))
    assert lock is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(mirror.commit, "main")
        time.sleep(0.5)
        assert not waiting.done()
        os.close(lock)
        assert waiting.result(60) == before


def test_a_mirror_that_was_not_finished_is_made_again(committed_toy, monkeypatch, tmp_path) -> None:
    mirror = Mirror(str(committed_toy.root))
    # As when the machine goes in the middle of it.
    _fake_git(tmp_path / "bin", 'for last; do :; done; mkdir "$last"; touch "$last/half"; exit 1')
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        with pytest.raises(UnreachableError):
            mirror.commit("HEAD")
    assert mirror.commit("HEAD") == git(committed_toy.root, "rev-parse", "HEAD")


def test_git_asks_nobody_for_a_password(tmp_path, monkeypatch) -> None:
    _fake_git(tmp_path / "bin", 'echo "prompt: $GIT_TERMINAL_PROMPT" >&2; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(UnreachableError, match="prompt: 0"):
        Mirror("https://example.org/private.git").commit("HEAD")


def test_a_machine_without_git_is_told_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match="git is not installed"):
        Mirror("https://example.org/project").commit("HEAD")


def _fake_git(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)


def test_a_repository_that_is_away_may_come_back(tmp_path) -> None:
    with pytest.raises(UnreachableError, match="nowhere"):
        Mirror(str(tmp_path / "nowhere")).commit("HEAD")


def test_an_unknown_revision_is_refused(committed_toy) -> None:
    with pytest.raises(PipelineError, match="no revision 'nonesuch'"):
        Mirror(str(committed_toy.root)).commit("nonesuch")
