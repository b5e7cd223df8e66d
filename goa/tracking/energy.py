"""Energy counters of the machine.

They count the whole processor and the whole GPU, whatever else ran beside: an upper bound of what
one program used, and the truth only where it ran alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from goa.tracking.gpus import gpu_handles

POWERCAP = Path("/sys/class/powercap")


class Counter(Protocol):
    """Counts joules up."""

    @property
    def wraps_at(self) -> float | None:
        """Joules after which it begins at 0 again; None: it never does."""

    def read(self) -> float | None:
        """Give its state in joules; None where it cannot be read."""


class Energy:
    """What counters ran on by since this was made.

    Args:
        counters: those that cannot be read are left out.
    """

    def __init__(self, counters: Iterable[Counter]) -> None:
        states = ((counter, counter.read()) for counter in counters)
        self._last = [(counter, state) for counter, state in states if state is not None]
        self._joules = 0.0

    def read(self) -> float | None:
        """Give the joules until now; None where no counter can be read.

        A counter that begins at 0 again must be read at least once a turn, which is an hour or so
        of a processor under load.
        """
        last = []
        for counter, before in self._last:
            now = counter.read()
            if now is None:  # for now; it runs on, and the next reading has it
                last.append((counter, before))
                continue
            wrapped = counter.wraps_at if now < before else None
            self._joules += max(0.0, now - before + (wrapped or 0.0))
            last.append((counter, now))
        self._last = last
        return self._joules if last else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A processor's or its memory's counter (Intel's RAPL, which AMD's processors have too)."""

    folder: Path
    """Of the kernel's, one file a value."""
    wraps_at: float | None

    def read(self) -> float | None:
        """Give its state in joules; None where the file is another user's, as it often is."""
        return _joules(self.folder / "energy_uj")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU's counter (NVML)."""

    handle: Any
    """As the driver gave it."""
    wraps_at: float | None = None

    def read(self) -> float | None:
        """Give its state in joules; None where the GPU is too old to have one."""
        import pynvml  # noqa: PLC0415 - there, since it gave the handle

        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3
        except pynvml.NVMLError:
            return None


def zones(folder: Path = POWERCAP) -> Iterator[Zone]:
    """Find the counters of processor packages, and of memory, which those leave out.

    Others count parts of a package, or all of it once more.
    """
    for path in sorted(folder.glob("intel-rapl:*")):
        try:
            name = (path / "name").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if name.startswith("package") or name == "dram":
            yield Zone(folder=path, wraps_at=_joules(path / "max_energy_range_uj"))


def gpus(names: Sequence[str] | None) -> Iterator[Gpu]:
    """Find the counters of GPUs, named as in CUDA_VISIBLE_DEVICES; None: of all there are."""
    try:
        import pynvml  # noqa: PLC0415 - not everybody has it
    except ImportError:
        return
    try:
        pynvml.nvmlInit()
        if names is None:
            names = [str(place) for place in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return
    for handle in gpu_handles(names):
        yield Gpu(handle=handle)


def _joules(path: Path) -> float | None:
    try:
        return int(path.read_text(encoding="ascii")) / 1e6
    except (OSError, ValueError):
        return None
