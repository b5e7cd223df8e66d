"""Make a folder ready for runs: DVC, goa's own folder, the tracking database."""

import configparser
import fcntl
import subprocess
import sys
from pathlib import Path

from goa.errors import PipelineError, hide_secrets


def prepare_project(root: Path) -> None:
    """Make DVC work in a project's folder; changes nothing where it already does.

    With git, DVC is set up as its users expect. Without, it is told so: in the local
    configuration where ``.dvc`` came with a copy of the sources, so that no tracked file changes.

    Raises:
        PipelineError: the folder is missing, cannot be written, or DVC refuses.
    """
    local = root / ".goa"
    try:
        local.mkdir(exist_ok=True)
        (local / ".gitignore").write_text("*\n", encoding="utf-8")
        with (local / "prepare.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _prepare_dvc(root.resolve())
    except OSError as error:
        raise PipelineError(f"{error.filename or root}: {error.strerror}") from None


def dvc(root: Path, *arguments: str) -> str:
    """Run a short command of DVC's in a folder and give what it prints.

    Raises:
        PipelineError: it failed; the message has its words.
    """
    argv = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        told = f"`dvc {' '.join(arguments)}` failed:\n{said}"
        raise PipelineError(f"{root}: {hide_secrets(told)}")
    return done.stdout


def _prepare_dvc(root: Path) -> None:
    if not (root / ".dvc").is_dir():
        dvc(root, "init", "--quiet", "--subdir" if _in_git(root) else "--no-scm")
    elif not _in_git(root) and not _knows_no_scm(root):
        dvc(root, "config", "--local", "core.no_scm", "true")


def _in_git(root: Path) -> bool:
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def _knows_no_scm(root: Path) -> bool:
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return config.getboolean("core", "no_scm", fallback=False)
