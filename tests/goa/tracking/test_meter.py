"""What a stage costs, over all its tries."""

import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from goa.errors import DataError
from goa.tracking import meter
from goa.tracking.cost import Work, load_cost
from goa.tracking.meter import Meter


class Machine:
    """A clock, a kernel and counters that do as they are told."""

    def __init__(self, proc: Path) -> None:
        self.seconds = 100.0
        self.joules: float | None = 0.0
        self.proc = proc
        self.wraps_at = None
        self.set_peak("self", 1000)
        (proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast   Processor\n")

    def set_peak(self, process: str, kibibytes: int) -> None:
        folder = self.proc / process
        folder.mkdir(exist_ok=True)
        (folder / "status").write_text(f"Name:\tpython\nVmHWM:\t    {kibibytes} kB\nPPid:\t1\n")

    def read(self) -> float | None:
        return self.joules


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put everything that is measured into our hands; nothing is noted by itself."""
    (tmp_path / "proc").mkdir()
    made = Machine(tmp_path / "proc")
    monkeypatch.setattr(meter, "PROC", made.proc)
    monkeypatch.setattr(meter, "SECONDS", 1e6)
    monkeypatch.setattr(meter, "time", SimpleNamespace(monotonic=lambda: made.seconds))
    monkeypatch.setattr(meter, "zones", lambda: [made])
    monkeypatch.setattr(meter, "gpus", lambda _: [])
    monkeypatch.setattr(meter.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setitem(sys.modules, "torch.cuda", None)
    return made


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "cost.json"


def fail(machine: Machine) -> None:
    machine.seconds, machine.joules = machine.seconds + 5, 10.0
    raise DataError("x")


def test_a_stage_costs_what_the_clock_and_the_counters_ran_on_by(
    machine: Machine, note: Path
) -> None:
    work = {"greedy": Work(seconds=1.5, sentences=3, tokens=20)}
    with Meter("one", note) as running:
        machine.seconds, machine.joules = 107.0, 60.0
        machine.set_peak("self", 2000)
        cost = running.cost(work)
    assert (cost.stage, cost.seconds, cost.energy, cost.work) == ("one", 7.0, 60.0, work)
    assert (cost.peak_memory, cost.peak_gpu_memory) == (2000 * 1024, None)
    assert cost.machine == "Fast Processor, 3 cores"
    assert not note.exists()


def test_a_kernel_that_does_not_name_the_processor_leaves_it_to_python(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.proc / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    monkeypatch.setattr(meter.platform, "processor", str)
    monkeypatch.setattr(meter.platform, "machine", lambda: "aarch64")
    with Meter("one", note) as running:
        assert running.cost().machine == "aarch64, 3 cores"


def test_tries_that_were_killed_or_failed_are_counted(machine: Machine, note: Path) -> None:
    killed = Meter("one", note)
    machine.seconds, machine.joules = 130.0, 50.0
    machine.set_peak("self", 5000)
    killed.note()
    machine.seconds += 1000  # nobody pays for the time between tries
    machine.joules = 3.0  # a machine that was started anew
    machine.set_peak("self", 4000)
    with pytest.raises(DataError), Meter("one", note):
        fail(machine)
    with Meter("one", note) as last:
        machine.seconds, machine.joules = machine.seconds + 0.5, 11.0
        cost = last.cost()
    assert (cost.seconds, cost.energy) == (30.0 + 5.0 + 0.5, 50.0 + 7.0 + 1.0)
    assert cost.peak_memory == 5000 * 1024


def test_the_cost_so_far_is_noted_by_itself(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "SECONDS", 0.01)
    deadline = time.monotonic() + 60
    with Meter("one", note):
        machine.seconds = 104.0
        while not (note.exists() and load_cost(note).seconds == 4.0):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_note_that_cannot_be_read_is_not_counted(machine: Machine, note: Path) -> None:
    note.parent.mkdir()
    note.write_text('{"stage": "one", "sec')
    with Meter("one", note) as running:
        machine.seconds = 102.0
        assert running.cost().seconds == 2.0


def test_a_disk_that_refuses_the_note_does_not_end_the_stage(machine: Machine, note: Path) -> None:
    note.parent.write_text("a file, where the folder should be")
    Meter("one", note).note()


def test_energy_that_one_try_does_not_know_is_that_of_the_others(
    machine: Machine, note: Path
) -> None:
    machine.joules = None
    first = Meter("one", note)
    assert first.cost().energy is None
    first.note()
    machine.joules = 0.0
    second = Meter("one", note)
    machine.joules = 4.0
    assert second.cost().energy == 4.0


def test_processes_that_score_beside_count_while_they_live(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [SimpleNamespace(pid=7), SimpleNamespace(pid=8), SimpleNamespace(pid=9)]
    monkeypatch.setattr(meter.multiprocessing, "active_children", lambda: children)
    machine.set_peak("7", 300)
    machine.set_peak("8", 200)  # 9 has just gone
    with Meter("one", note) as running:
        assert running.cost().peak_memory == 1500 * 1024
        children.clear()
        assert running.cost().peak_memory == 1500 * 1024


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_without_proc_the_systems_own_units_are_known(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch, system: str, unit: int
) -> None:
    (machine.proc / "self" / "status").unlink()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=5000))
    assert Meter("one", note).cost().peak_memory == 5000 * unit


def test_a_stage_on_gpus_names_them_and_counts_theirs_too(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: False,
        max_memory_allocated=lambda: 123,
        get_device_name=lambda: "NVIDIA X",
    )
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda)
    gpu = Machine(machine.proc)
    named = []
    monkeypatch.setattr(meter, "gpus", lambda names: named.append(names) or [gpu])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-f")
    running = Meter("one", note, num_processes=2)
    machine.joules, gpu.joules = 5.0, 70.0
    before = running.cost()
    assert (before.energy, before.peak_gpu_memory) == (5.0, None)
    assert before.machine == "Fast Processor, 3 cores"
    cuda.is_initialized = lambda: True
    cost = running.cost()
    assert named == [["3", "GPU-f"]]
    assert (cost.energy, cost.peak_gpu_memory, cost.machine) == (75.0, 123, "2 x NVIDIA X")


def test_of_several_tries_gpu_memory_is_the_highest_and_machine_and_work_the_last_one_s(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        max_memory_allocated=lambda: 900,
        get_device_name=lambda: "NVIDIA X",
    )
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda)
    Meter("one", note).note()
    cuda.max_memory_allocated = lambda: 300
    cuda.get_device_name = lambda: "NVIDIA Y"
    work = {"greedy": Work(seconds=1.5, sentences=3, tokens=20)}
    cost = Meter("one", note).cost(work)
    assert (cost.peak_gpu_memory, cost.machine, cost.work) == (900, "1 x NVIDIA Y", work)


def test_a_machine_of_one_core_has_one_core(
    machine: Machine, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert Meter("one", note).cost().machine == "Fast Processor, 1 core"


def test_this_machine_can_be_measured(note: Path) -> None:
    held = bytearray(50_000_000)
    cost = Meter("one", note).cost()
    assert cost.peak_memory > len(held)
    assert 0 <= cost.seconds < 60
    assert cost.machine
