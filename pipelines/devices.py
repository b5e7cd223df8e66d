"""Which GPU a stage may use: one stage a GPU, over all runs on this host.

A GPU is held by a file lock, so it comes back by itself when its holder dies. Only counting and
locking happen here; nothing imports torch, which would open every GPU.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pipelines.locks import try_lock

POLL_SECONDS = 0.5


def visible_gpus() -> tuple[str, ...]:
    """Name the GPUs a stage may be given: from CUDA_VISIBLE_DEVICES, else as nvidia-smi counts."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        names = tuple(name.strip() for name in listed.split(","))
        return tuple(name for name in names if name and name != "-1")
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    # Only the count is used: nvidia-smi and CUDA may number mixed GPUs differently.
    return tuple(str(index) for index, _ in enumerate(answer.stdout.split("\n")[:-1]))


@contextlib.asynccontextmanager
async def lease(gpus: Sequence[str]) -> AsyncIterator[tuple[str, int] | None]:
    """Wait for a free GPU and hold it; gives its name and the descriptor that holds the lock.

    Gives None at once where there are no GPUs.
    """
    if not gpus:
        yield None
        return
    while (held := _take(gpus)) is None:
        await asyncio.sleep(POLL_SECONDS)
    try:
        yield held
    finally:
        os.close(held[1])


def _take(gpus: Sequence[str]) -> tuple[str, int] | None:
    for name in gpus:
        path = Path(tempfile.gettempdir(), f"goa-gpu-{name.replace('/', '_')}.lock")
        descriptor = try_lock(path)
        if descriptor is not None:
            return name, descriptor
    return None
