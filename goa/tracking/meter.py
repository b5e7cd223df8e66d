"""Measuring what a stage costs, over all its tries."""

import contextlib
import multiprocessing
import os
import platform
import re
import resource
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from goa.errors import DataError
from goa.tracking.cost import Cost, Work, load_cost, save_cost
from goa.tracking.energy import Energy, gpus, zones

SECONDS = 2.0
"""Between two notes of the cost so far: what a try that is killed may lose of it."""
PROC = Path("/proc")


class Meter:
    """Runs while a stage does, and notes every few seconds what it has cost until then.

    Use it as a context manager. A try that fails, or is killed, leaves its note to the next one,
    which goes on from there; whoever has finished a stage deletes it. Time is counted from here on,
    by the monotonic clock; Python's own start is not in it.

    Args:
        stage: whose cost it is.
        note: file of the cost so far.
        num_processes: how many share the stage's work, each with a GPU of its own, where there are
            any. Only this one's memory is measured.
    """

    def __init__(self, stage: str, note: Path, num_processes: int = 1) -> None:
        self._stage = stage
        self._note = note
        self._num_processes = num_processes
        self._before = _cost_before(note)
        self._started = time.monotonic()
        self._zones = Energy(zones())
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._gpus = Energy(gpus(None if named is None else named.split(",")))
        self._of_children = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep_noting, name="cost", daemon=True)

    def __enter__(self) -> "Meter":
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watch.join()
        if kind is not None:
            self.note()

    def cost(self, work: Mapping[str, Work] | None = None) -> Cost:
        """Say what this try and those before it have cost until now.

        Args:
            work: kinds of work within the stage.
        """
        with self._lock:
            self._of_children = max(self._of_children, _peak_of_children())
            uses_gpu = _cuda() is not None
            energies = [self._zones.read(), self._gpus.read() if uses_gpu else None]
        now = Cost(
            stage=self._stage,
            seconds=time.monotonic() - self._started,
            peak_memory=_peak(PROC / "self") + self._of_children,
            peak_gpu_memory=_peak_of_gpu(),
            energy=_sum(energies),
            machine=_machine(self._num_processes),
            work=dict(work or {}),
        )
        return now if self._before is None else _together(self._before, now)

    def note(self) -> None:
        """Write the cost until now; a disk that refuses is not worth a stage."""
        unfinished = self._note.with_suffix(".unfinished")
        with contextlib.suppress(OSError):
            self._note.parent.mkdir(parents=True, exist_ok=True)
            save_cost(unfinished, self.cost())
            unfinished.replace(self._note)

    def _keep_noting(self) -> None:
        while not self._over.wait(SECONDS):
            self.note()


def _cost_before(note: Path) -> Cost | None:
    """Read what earlier tries left; what cannot be read is not counted."""
    try:
        return load_cost(note)
    except DataError:
        return None


def _together(before: Cost, now: Cost) -> Cost:
    """Add two tries up; the machine and the work are the last one's."""
    return Cost(
        stage=now.stage,
        seconds=before.seconds + now.seconds,
        peak_memory=max(before.peak_memory, now.peak_memory),
        peak_gpu_memory=_most(before.peak_gpu_memory, now.peak_gpu_memory),
        energy=_sum([before.energy, now.energy]),
        machine=now.machine,
        work=now.work,
    )


def _most(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _peak(process: Path) -> int:
    """Give the most bytes that a process, by its folder in /proc, ever had in memory."""
    try:
        status = (process / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if found:
        return int(found.group(1)) * 1024
    if process.name != "self":
        return 0
    # Not where the kernel tells better: a process that another started inherits the other's peak.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_of_children() -> int:
    """Give the bytes that the processes which live now had in memory together, at the most."""
    return sum(_peak(PROC / str(child.pid)) for child in multiprocessing.active_children())


def _cuda() -> Any:
    """Give torch's view of the GPU that this process works on; None where it works on none."""
    cuda = sys.modules.get("torch.cuda")
    # It may be half imported: notes are written beside all that a stage does.
    is_initialized = getattr(cuda, "is_initialized", None)
    return cuda if is_initialized is not None and is_initialized() else None


def _peak_of_gpu() -> int | None:
    cuda = _cuda()
    return None if cuda is None else int(cuda.max_memory_allocated())


def _machine(num_processes: int) -> str:
    """Name what computes: ``2 x NVIDIA H100 80GB HBM3``, or ``AMD EPYC, 2 cores``."""
    cuda = _cuda()
    if cuda is not None:
        return f"{num_processes} x {cuda.get_device_name()}"
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return f"{_processor()}, {cores} core{'s' * (cores != 1)}"


def _processor() -> str:
    """Name the processor as the kernel does, where it does."""
    with contextlib.suppress(OSError):
        text = (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"^model name\s*:\s*(\S.*)$", text, re.MULTILINE):
            return " ".join(found.group(1).split())
    return platform.processor() or platform.machine()
