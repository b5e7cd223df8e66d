"""Counters of energy, on a machine made of files."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from goa.tracking.energy import Energy, gpus, zones


def set_zone(folder: Path, zone: str, name: str, microjoules: int) -> Path:
    """Set a counter of the kernel's, which begins at 0 again after 1 kJ."""
    path = folder / zone
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text("1000000000\n")
    return path / "energy_uj"


def test_packages_and_their_memory_count_and_nothing_twice(tmp_path: Path) -> None:
    every = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    for zone, name in every.items():
        set_zone(tmp_path, zone, name, 5_000_000)
    energy = Energy(zones(tmp_path))
    for place, (zone, name) in enumerate(every.items()):
        set_zone(tmp_path, zone, name, 5_000_000 + 10**place * 1_000_000)
    assert energy.read() == 1 + 100 + 1000


def test_a_counter_that_has_begun_at_0_again_counts_on(tmp_path: Path) -> None:
    set_zone(tmp_path, "intel-rapl:0", "package-0", 900_000_000)
    energy = Energy(zones(tmp_path))
    seen = []
    for microjoules in (950_000_000, 20_000_000, 30_000_000):
        set_zone(tmp_path, "intel-rapl:0", "package-0", microjoules)
        seen.append(energy.read())
    assert seen == [50.0, 120.0, 130.0]


def test_a_counter_of_an_unknown_range_never_counts_down(tmp_path: Path) -> None:
    set_zone(tmp_path, "intel-rapl:0", "package-0", 900_000_000)
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").unlink()
    energy = Energy(zones(tmp_path))
    set_zone(tmp_path, "intel-rapl:0", "package-0", 20_000_000)
    assert energy.read() == 0.0


def test_without_a_counter_that_can_be_read_nothing_is_known(tmp_path: Path) -> None:
    assert Energy(zones(tmp_path / "none")).read() is None
    set_zone(tmp_path, "intel-rapl:0", "package-0", 5).unlink()
    assert Energy(zones(tmp_path)).read() is None
    (tmp_path / "intel-rapl:0" / "name").unlink()
    assert list(zones(tmp_path)) == []


def test_what_a_counter_ran_on_by_while_it_could_not_be_read_is_counted_later(
    tmp_path: Path,
) -> None:
    path = set_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    energy = Energy(zones(tmp_path))
    path.write_text("")
    assert energy.read() == 0.0
    path.write_text("4000000")
    assert energy.read() == 3.0


class NoSuchGpuError(Exception):
    """As pynvml says it."""


@pytest.fixture
def millijoules(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Have a machine with two GPUs that count, and one that is too old; give their counters."""
    counters = {"handle 0": 5000, "handle 1": 7000}

    def find(name: int | str) -> str:
        if name not in (0, 1, 2):
            raise NoSuchGpuError
        return f"handle {name}"

    def read(handle: str) -> int:
        if handle not in counters:
            raise NoSuchGpuError
        return counters[handle]

    driver = SimpleNamespace(
        NVMLError=NoSuchGpuError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=find,
        nvmlDeviceGetHandleByUUID=find,
        nvmlDeviceGetTotalEnergyConsumption=read,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return counters


@pytest.mark.parametrize(
    ("names", "joules"), [(None, 3.0), (["1"], 2.0), (["2"], None), (["GPU-x"], None), ([], None)]
)
def test_gpus_that_were_named_count(
    millijoules: dict[str, int], names: list[str] | None, joules: float | None
) -> None:
    energy = Energy(gpus(names))
    millijoules["handle 0"] += 1000
    millijoules["handle 1"] += 2000
    assert energy.read() == joules


def test_a_machine_without_a_driver_has_no_gpu_that_counts(
    millijoules: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise NoSuchGpuError

    monkeypatch.setattr(sys.modules["pynvml"], "nvmlInit", fail)
    assert list(gpus(None)) == []
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert list(gpus(None)) == []
