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
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from goa.errors import PipelineError, SettingsError, hide_secrets
from goa.settings import read_yaml
from goa.yaml_text import parse_yaml
from pipelines.graph import lock_entries
from pipelines.locks import try_lock
from pipelines.processes import last_lines, run_python
from pipelines.project import dvc, prepare_project

KEEP_DAYS = 14
"""How long a clone that failed is kept."""
SHA_LENGTH = 40
"""Hexadecimal digits that name a commit for good."""


class UnreachableError(PipelineError):
    """A repository or a DVC remote does not answer; it may pass by itself."""


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


def home() -> Path:
    """Say where clones, mirrors and caches lie on this machine."""
    return Path(os.environ.get("GOA_HOME") or Path.home() / ".cache" / "goa").absolute()


def resolve(source: Source) -> str:
    """Give the commit that a revision names now; fetches, but for a commit that is known.

    Raises:
        UnreachableError: the repository does not answer.
        PipelineError: it has no such revision.
        SettingsError: an address has a password in it.
    """
    for name, address in (("repository", source.repository), ("remote", source.remote or "")):
        _refuse_password(name, address)
    mirror = _mirror_path(source.repository)
    wanted = f"{source.revision}^{{commit}}"
    if not (len(source.revision) == SHA_LENGTH and _names_commit(mirror, wanted)):
        _fetch(source.repository, mirror)
    sha = _names_commit(mirror, wanted)
    if sha is None:
        raise PipelineError(f"{source.repository}: has no revision {source.revision!r}")
    return sha


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
    root = home() / "clones" / f"{_name(source.repository)}-{sha[:12]}-{_digest(repr(work))}"
    with _held(root):
        if not root.exists():
            _prune(root.parent)
            _make(source, sha, root)
        yield Clone(root=root, sha=sha, has_remote=_has_remote(root))
        shutil.rmtree(root)


def edit_params(path: Path, overrides: Sequence[str], evaluators: Sequence[str]) -> None:
    """Write overrides into a file of parameters, and leave out evaluators that are not named.

    Their controls go, too.

    Raises:
        SettingsError: an override has no ``=``, or names what the file does not have, or an
            evaluator is not there.
    """
    params = read_yaml(path)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise SettingsError(f"override {override!r}: expected key.path=value")
        *sections, last = key.split(".")
        inner: Any = params
        for section in sections:
            inner = inner.get(section) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise SettingsError(f"override {override!r}: {path.name} has no {key}")
        inner[last] = parse_yaml(value, f"override {override!r}")
    if evaluators:
        known = params.get("evaluators", {})
        if not isinstance(known, dict):
            raise SettingsError(f"{path.name}: evaluators: expected a mapping of settings")
        if missing := [name for name in evaluators if name not in known]:
            raise SettingsError(
                f"{path.name} has no evaluator {missing[0]!r}; known: {', '.join(known)}"
            )
        params["evaluators"] = {name: known[name] for name in known if name in evaluators}
        if isinstance(controls := params.get("controls"), dict):
            kept = [name for name in controls.get("evaluators", ()) if name in evaluators]
            params["controls"] = {**controls, "evaluators": kept}
    if overrides or evaluators:
        path.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))


def _mirror_path(repository: str) -> Path:
    address = _address(repository)
    return home() / "mirrors" / f"{_name(repository)}-{_digest(address)}.git"


def _names_commit(mirror: Path, name: str) -> str | None:
    if not mirror.exists():
        return None
    found = _git("rev-parse", "--verify", "--quiet", name, folder=mirror)
    return found.stdout.strip() if found.returncode == 0 else None


def _fetch(repository: str, mirror: Path) -> None:
    """Bring the mirror of a repository up to date, or make it."""
    mirror.parent.mkdir(parents=True, exist_ok=True)
    with mirror.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mirror.exists():
            done = _git("fetch", "--quiet", "--prune", folder=mirror)
        else:
            unfinished = mirror.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            arguments = ("clone", "--quiet", "--mirror", _address(repository), str(unfinished))
            done = _git(*arguments, folder=mirror.parent)
            if done.returncode == 0:
                unfinished.rename(mirror)
    if done.returncode != 0:
        said = hide_secrets(done.stderr.strip())
        raise UnreachableError(f"{repository}: cannot be cloned with git: {said}")


def _make(source: Source, sha: str, root: Path) -> None:
    """Make a clone, whole or not at all."""
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    address, mirror = _address(source.repository), _mirror_path(source.repository)
    for arguments in (
        ("clone", "--quiet", "--no-checkout", str(mirror), str(unfinished)),
        ("-C", str(unfinished), "remote", "set-url", "origin", address),
        ("-C", str(unfinished), "checkout", "--quiet", sha),
    ):
        done = _git(*arguments, folder=root.parent)
        if done.returncode != 0:
            said = hide_secrets(done.stderr.strip())
            raise PipelineError(f"{source.repository} at {sha}: {said}")
    if not (unfinished / "dvc.yaml").exists():
        raise PipelineError(f"{source.repository} at {sha}: no dvc.yaml at its top")
    prepare_project(unfinished)
    cache = home() / "cache" / f"{_name(source.repository)}-{_digest(address)}"
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


def _address(repository: str) -> str:
    """Make a folder's path absolute; leave addresses alone."""
    return str(Path(repository).resolve()) if Path(repository).is_dir() else repository


def _refuse_password(name: str, address: str) -> None:
    """Refuse a secret that Prefect would keep among a run's parameters, and show on its pages."""
    try:
        parts = urlsplit(address)
        secret = parts.password or (parts.username if parts.scheme.startswith("http") else None)
    except ValueError:  # no address at all: whoever uses it says so
        return
    query = f"?{parts.query}"
    if secret or hide_secrets(query) != query:
        raise SettingsError(
            f"{name} {hide_secrets(address)}: leave out user, password and keys; give them to the "
            "machine that runs this: docs/security.md"
        )


def _name(repository: str) -> str:
    return Path(_address(repository).rstrip("/")).name.removesuffix(".git") or "project"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _git(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise PipelineError("git is not installed; a scheduled run clones the project") from None
