"""Copies of a project at one revision, for runs that nobody watches.

A scheduled run works in nobody's folder. It has a clone of its own under ``GOA_HOME`` (default
``~/.cache/goa``)::

    mirrors/NAME-DIGEST.git     everything the repository has, fetched before each run
    cache/NAME-DIGEST/          DVC's cache, shared by the clones of one repository
    clones/NAME-SHA-DIGEST/     revision, overrides and targets make the digest, so that a run that
                                was cut off is taken up where it stopped

A clone that is done with is deleted; one that failed stays, for whoever asks why, until the same
work succeeds or ``KEEP_DAYS`` are over.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goa.errors import PipelineError, SettingsError, hide_secrets, holds_secret
from pipelines.graph import lock_entries
from pipelines.locks import try_lock
from pipelines.mirrors import Mirror, UnreachableError, git, home, short_digest
from pipelines.overrides import edit_params
from pipelines.processes import last_lines, run_python
from pipelines.project import dvc, prepare_project

KEEP_DAYS = 14
"""How long a clone that failed is kept."""


class BusyError(PipelineError):
    """Another run has the same clone in hand; it will be done by and by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is to be run."""

    repository: str
    """Folder or address of a git repository that holds a project at its top."""
    revision: str = "HEAD"
    """Branch, tag or commit."""
    overrides: tuple[str, ...] = ()
    """``key.path=value``, the value in YAML: what params.yaml shall say instead."""
    evaluators: tuple[str, ...] = ()
    """Names of the evaluators to keep in params.yaml; none named means all."""
    remote: str | None = None
    """DVC remote's address; None: as the project's own configuration says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A project's folder that belongs to one run."""

    root: Path
    """The folder."""
    sha: str
    """The commit it is at."""
    has_remote: bool
    """Whether there is a DVC remote to pull from and push to."""

    async def push(self) -> None:
        """Push what was made so far, and by which stages, so that nobody runs them again.

        Raises:
            UnreachableError: the remote did not take it.
        """
        stages = list(lock_entries(self.root))
        if not (self.has_remote and stages):
            return
        log = self.root / ".goa" / "logs" / "push.log"
        log.write_bytes(b"")
        arguments = ["-m", "dvc", "--wait-for-lock", "push", "--run-cache", *stages]
        if await run_python(arguments, log, root=self.root) != 0:
            raise UnreachableError(f"dvc push failed; the end of {log}:\n{last_lines(log)}")


def resolve(source: Source) -> str:
    """Give the commit that a revision names now; fetches, but for a commit that is known.

    Raises:
        UnreachableError: the repository does not answer.
        PipelineError: it has no such revision.
        SettingsError: an address has a password in it.
    """
    for name, address in (("repository", source.repository), ("remote", source.remote or "")):
        if holds_secret(address):  # Prefect would keep it with the run, and show it on its pages
            raise SettingsError(
                f"{name} {hide_secrets(address)}: leave out user, password and keys; give them to "
                "the machine that runs this: docs/security.md"
            )
    return Mirror(source.repository).commit(source.revision)


@contextlib.contextmanager
def open_clone(source: Source, targets: Sequence[str]) -> Iterator[Clone]:
    """Hold a clone for one piece of work; it is deleted if the body comes to its end.

    Raises:
        UnreachableError: the repository, or the DVC remote's folder, is not there.
        BusyError: another run does this very work.
        PipelineError: no such revision, or no project in it.
        SettingsError: an override names nothing in params.yaml.
    """
    sha = resolve(source)
    work = (source.overrides, source.evaluators, source.remote, tuple(targets))
    name = f"{Mirror(source.repository).name}-{sha[:12]}-{short_digest(repr(work))}"
    root = home() / "clones" / name
    with _held(root):
        if not root.exists():
            _prune(root.parent)
            _make(source, sha, root)
        yield Clone(root=root, sha=sha, has_remote=_has_remote(root))
        shutil.rmtree(root)


def _make(source: Source, sha: str, root: Path) -> None:
    """Make a clone, whole or not at all."""
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    mirror = Mirror(source.repository)
    for arguments in (
        ("clone", "--quiet", "--no-checkout", str(mirror.path), str(unfinished)),
        ("-C", str(unfinished), "remote", "set-url", "origin", mirror.address),
        ("-C", str(unfinished), "checkout", "--quiet", sha),
    ):
        done = git(*arguments, folder=root.parent)
        if done.returncode != 0:
            said = hide_secrets(done.stderr.strip())
            raise PipelineError(f"{source.repository} at {sha}: {said}")
    if not (unfinished / "dvc.yaml").exists():
        raise PipelineError(f"{source.repository} at {sha}: no dvc.yaml at its top")
    prepare_project(unfinished)
    cache = home() / "cache" / mirror.key
    dvc(unfinished, "config", "--local", "cache.dir", str(cache))
    if source.remote:
        dvc(unfinished, "remote", "add", "--local", "--default", "given", source.remote)
    edit_params(unfinished / "params.yaml", source.overrides, source.evaluators)
    unfinished.rename(root)


def _has_remote(root: Path) -> bool:
    """Say whether a clone has a DVC remote.

    DVC takes a remote folder that is not mounted for an empty one, and would run everything again.
    """
    lines = dvc(root, "config", "--list").splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    if "core.remote" not in settings:
        return False
    address = settings.get(f"remote.{settings['core.remote']}.url", "")
    if "://" not in address and not Path(address).is_dir():
        raise UnreachableError(f"{address}: DVC's remote is not there; mount it or make the folder")
    return True


@contextlib.contextmanager
def _held(root: Path) -> Iterator[None]:
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(root.with_name(f"{root.name}.lock"))  # a project's name may have a dot
    if lock is None:
        raise BusyError(f"{root}: another run works there; it does the very same")
    try:
        yield
    finally:
        os.close(lock)


def _prune(clones: Path) -> None:
    """Delete clones that failed long ago, and nobody took up again."""
    oldest = time.time() - KEEP_DAYS * 24 * 3600
    for root in clones.iterdir():
        if root.is_dir() and root.stat().st_mtime < oldest:
            with contextlib.suppress(BusyError), _held(root):
                shutil.rmtree(root)
