"""Which GPUs a stage may use: one for each of its processes, over all runs on this host.

A GPU is held by a file lock, so it comes back by itself when its holder dies. Only counting and
locking happen here; nothing imports torch, which would open every GPU.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goa.errors import PipelineError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """GPUs that are held as long as someone holds the descriptors open."""

    names: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES lists them."""
    descriptors: tuple[int, ...]
    """What holds the locks."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process see these and no others."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.names)}


@contextlib.asynccontextmanager
async def lease(gpus: Sequence[str], count: int = 1) -> AsyncIterator[Lease | None]:
    """Wait until so many GPUs are free at once, and hold them.

    Gives None at once where there are no GPUs.

    Raises:
        PipelineError: there are some, but never so many.
    """
    if not gpus:
        yield None
        return
    if count > len(gpus):
        raise PipelineError(
            f"{count} processes need a GPU each, and there are {len(gpus)}; "
            "lower compute.processes, or set compute.device to cpu and CUDA_VISIBLE_DEVICES to ''"
        )
    while (held := _take(gpus, count)) is None:
        await asyncio.sleep(POLL_SECONDS)
    try:
        yield held
    finally:
        _let_go(held.descriptors)


def _take(gpus: Sequence[str], count: int) -> Lease | None:
    """Take so many GPUs, or none: whoever held some and waited for more could wait for ever."""
    held: list[tuple[str, int]] = []
    for name in gpus:
        path = Path(tempfile.gettempdir(), f"goa-gpu-{name.replace('/', '_')}.lock")
        descriptor = try_lock(path)
        if descriptor is not None:
            held.append((name, descriptor))
        if len(held) == count:
            names, descriptors = zip(*held, strict=True)
            return Lease(names=names, descriptors=descriptors)
    _let_go([descriptor for _, descriptor in held])
    return None


def _let_go(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
