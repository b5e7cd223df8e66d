"""What processes that are gone have left behind: locks, and stages that nobody waits for."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.findings import Finding, fail, ok, warn

PROC = Path("/proc")
HELD_SECONDS = 2.0
"""The lock of the tracking database is held for a moment; so long means that somebody hangs."""
STAGE = "-m pipelines."
REAPERS = ("systemd", "init", "tini", "dumb-init")
"""Who adopts a process whose parent is gone, beside process 1."""


def find_locks(root: Path) -> Iterator[Finding]:
    """Look at every lock file: free, held by a living process, or left by one that is gone."""
    yield _pid_lock("run lock", root / ".goa" / "run.lock", "a run")
    yield _pid_lock("dvc lock", root / ".dvc" / "tmp" / "lock", "DVC")
    yield _path_locks(root / ".dvc" / "tmp" / "rwlock")
    path = root / "mlflow.db.lock"
    deadline = time.monotonic() + HELD_SECONDS
    while (held := _is_held(path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    hangs = f"{path} has been held for {HELD_SECONDS:.0f} s: a program hangs at the database"
    yield warn("mlflow lock", hangs) if held else ok("mlflow lock", "free")


def find_orphans(root: Path) -> Iterator[Finding]:
    """Look for stages of this project that go on although who started them is gone."""
    processes = _processes()
    orphans = [
        process
        for process in processes.values()
        if STAGE in process.command
        and process.folder is not None
        and process.folder.is_relative_to(root.resolve())
        and _is_adopted(process, processes)
    ]
    for process in orphans:
        yield fail(
            "orphan",
            f"process {process.pid} goes on without whoever started it, and writes to what the "
            f"next run writes to; kill {process.pid}: {process.command}",
        )
    if not orphans:
        yield ok("orphans", "none")


def _pid_lock(name: str, path: Path, whose: str) -> Finding:
    """Look at a lock that says in its file who holds it."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if "|" in text:  # core.hardlink_lock: the file itself is the lock
        host, pid, *_ = text.split("|")
        if host == socket.gethostname() and pid.isdigit() and not _lives(int(pid)):
            return warn(name, f"{path} is left by process {pid}, which is gone; remove it")
        return ok(name, f"held by process {pid} on {host}")
    if not _is_held(path):
        return ok(name, "free")
    pid = text.strip()
    if pid.isdigit() and not _lives(int(pid)):
        return warn(
            name,
            f"process {pid}, which took {path}, is gone, but something that it started still "
            "holds it; see orphans",
        )
    return ok(name, f"held by {whose}, process {pid or 'unknown'}")


def _path_locks(path: Path) -> Finding:
    """Look at what DVC keeps for itself of who reads and writes which path."""
    name = "dvc path locks"
    try:
        content = json.loads(path.read_bytes())
        # With the last entry of a kind DVC may take the kind out, too.
        read, written = content.get("read", {}), content.get("write", {})
        readers = [(what, info) for what, infos in read.items() for info in infos]
        entries = [*readers, *written.items()]
        gone = sorted({what for what, info in entries if not _lives(info["pid"])})
    except FileNotFoundError:
        return ok(name, "free")
    except (ValueError, LookupError, AttributeError, TypeError):
        return fail(name, f"{path} cannot be read; remove it when no DVC is at work")
    if gone:
        return warn(
            name,
            f"processes that are gone still hold {', '.join(gone)}; remove {path} when no DVC is "
            "at work",
        )
    return ok(name, f"held by living processes: {len(entries)}" if entries else "free")


def _is_held(path: Path) -> bool:
    """Try a lock and let go of it at once: only the kernel knows whether it is held."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lives(pid: int) -> bool:
    try:
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    session: int
    name: str
    command: str
    folder: Path | None


def _processes() -> Mapping[int, _Process]:
    """List the processes that can be looked at; they come and go while one looks."""
    found = (_process(path) for path in PROC.iterdir() if path.name.isdigit())
    return {process.pid: process for process in found if process is not None}


def _process(path: Path) -> _Process | None:
    try:
        before, _, after = (path / "stat").read_text(errors="replace").rpartition(")")
        _, parent, _, session, *_ = after.split()
        command = (path / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        folder = (path / "cwd").readlink()
    except PermissionError:  # somebody else's
        folder, command = None, b""
    except OSError:  # it has ended, though who started it may not have asked for it yet
        return None
    return _Process(
        pid=int(path.name),
        parent=int(parent),
        session=int(session),
        name=before.partition("(")[2],
        command=command.decode(errors="replace"),
        folder=folder,
    )


def _is_adopted(process: _Process, processes: Mapping[int, _Process]) -> bool:
    """Say whether the parent of a stage's first process is gone.

    A stage may be several processes, the shell that DVC starts among them: all name the stage.
    Whose parent is gone is given to process 1, or to another that adopts, which is of another
    session; so is a living parent's only where the child has begun a session of its own.
    """
    first = process
    while (parent := processes.get(first.parent)) is not None and STAGE in parent.command:
        first = parent
    if first.pid == 1 or first.parent == 0:
        return False
    if parent is None or parent.pid == 1 or parent.name in REAPERS:
        return True
    return first.session not in (parent.session, first.pid)
