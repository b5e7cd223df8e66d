"""Mirrors of git repositories: what clones are made from, and revisions are looked up in."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from goa.errors import PipelineError, hide_secrets

SHA_LENGTH = 40
"""Hexadecimal digits that name a commit for good."""


class UnreachableError(PipelineError):
    """A repository or a DVC remote does not answer; it may pass by itself."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of all that a repository has, kept on this machine."""

    repository: str
    """Folder or address of a git repository."""

    @property
    def address(self) -> str:
        """Where it is copied from: of a folder, the absolute path."""
        folder = Path(self.repository)
        return str(folder.resolve()) if folder.is_dir() else self.repository

    @property
    def name(self) -> str:
        """Last part of the address, for people."""
        return Path(self.address.rstrip("/")).name.removesuffix(".git") or "project"

    @property
    def key(self) -> str:
        """Name for files, other for every address."""
        return f"{self.name}-{short_digest(self.address)}"

    @property
    def path(self) -> Path:
        """Where it lies."""
        return home() / "mirrors" / f"{self.key}.git"

    def commit(self, revision: str) -> str:
        """Give the commit that a revision names now; fetches, but for a commit that is known.

        Raises:
            UnreachableError: the repository does not answer.
            PipelineError: it has no such revision.
        """
        wanted = f"{revision}^{{commit}}"
        if not (len(revision) == SHA_LENGTH and self._find(wanted)):
            self._fetch()
        sha = self._find(wanted)
        if sha is None:
            raise PipelineError(f"{self.repository}: has no revision {revision!r}")
        return sha

    def _find(self, name: str) -> str | None:
        if not self.path.exists():
            return None
        found = git("rev-parse", "--verify", "--quiet", name, folder=self.path)
        return found.stdout.strip() if found.returncode == 0 else None

    def _fetch(self) -> None:
        """Bring it up to date, or make it."""
        path = self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                done = git("fetch", "--quiet", "--prune", folder=path)
            else:
                unfinished = path.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                arguments = ("clone", "--quiet", "--mirror", self.address, str(unfinished))
                done = git(*arguments, folder=path.parent)
                if done.returncode == 0:
                    unfinished.rename(path)
        if done.returncode != 0:
            said = hide_secrets(done.stderr.strip())
            raise UnreachableError(f"{self.repository}: cannot be cloned with git: {said}")


def home() -> Path:
    """Say where clones, mirrors and caches lie on this machine."""
    return Path(os.environ.get("GOA_HOME") or Path.home() / ".cache" / "goa").absolute()


def short_digest(text: str) -> str:
    """Give as much of a text's digest as a file's name has room for."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def git(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run git in a folder; it asks nobody for a password.

    Raises:
        PipelineError: git is not installed.
    """
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
