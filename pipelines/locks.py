"""File locks that the kernel frees when their last holder is gone, however it went."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from goa.errors import PipelineError


def try_lock(path: Path) -> int | None:
    """Take the exclusive lock on a file, made if missing; None when someone else holds it.

    The lock lives as long as any copy of the returned file descriptor is open, so a child that
    inherits it keeps the lock although the parent is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        # Not O_CREAT at once: in a shared sticky folder Linux refuses it on others' files.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def only_run(root: Path) -> Iterator[int]:
    """Be the only run in a project's folder; gives the descriptor that holds the lock.

    Raises:
        PipelineError: another run works there.
    """
    path = root / ".goa" / "run.lock"
    path.parent.mkdir(exist_ok=True)
    descriptor = try_lock(path)
    if descriptor is None:
        holder = path.read_text(encoding="utf-8").strip() or "unknown"
        raise PipelineError(
            f"{path}: another run (process {holder}) works in this folder; wait for it or end it"
        )
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
