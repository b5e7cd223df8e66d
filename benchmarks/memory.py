"""Peak memory of a piece of work, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
"""What is freed is given back at once, so that the peak is what was in use (glibc)."""


def peak_mib(work: Callable[[], object], device: str = "cpu") -> float:
    """Do the work, and give what memory was in use at most beyond what was before it, in MiB.

    Of this process, or of the GPU; Linux.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again from here
    start = _status("VmRSS")
    work()
    return _status("VmHWM") - start


def in_own_process(*arguments: str, gives_back: bool = True) -> str:
    """Run this very command with further arguments; give the last line that it prints.

    Args:
        arguments: added to the command's own.
        gives_back: whether freed memory is given back at once, which takes time.
    """
    command = [sys.executable, *sys.argv, *arguments]
    environment = ENVIRONMENT if gives_back else None
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return done.stdout.strip().splitlines()[-1]


def _status(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
