"""A repository of git, as tests change and ask it."""

import subprocess
from pathlib import Path

AUTHOR = ("-c", "user.name=T", "-c", "user.email=t@example.org")


def git(root: Path, *arguments: str) -> str:
    """Run git in a folder, and give what it says."""
    argv = ["git", *AUTHOR, *arguments]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path, message: str) -> str:
    """Commit what changed, if anything did, and give the commit."""
    git(root, "commit", "-qam", message, "--allow-empty")
    return git(root, "rev-parse", "HEAD")
