"""What is recorded of the machine."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.system_metrics import system_metrics_monitor
from mlflow.system_metrics.metrics import gpu_monitor
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from goa.tracking.machine import SECONDS, watch_machine
from goa.tracking.store import Store


class NoSuchGpuError(Exception):
    """As pynvml says it."""


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have a machine with four GPUs, 0, 1, 2 and GPU-f, and collect what looks at machines."""

    def find(name: int | str) -> str:
        if name not in (0, 1, 2, "GPU-f"):
            raise NoSuchGpuError
        return f"handle {name}"

    driver = SimpleNamespace(
        NVMLError=NoSuchGpuError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=find,
        nvmlDeviceGetHandleByUUID=find,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(gpu_monitor, "pynvml", driver, raising=False)
    started: list[Any] = []
    monkeypatch.setattr(SystemMetricsMonitor, "start", lambda self: started.extend(self.monitors))
    return started


@pytest.mark.parametrize(
    ("gpus", "looked_at"),
    [
        (None, ["handle 0", "handle 1", "handle 2"]),
        (["2", "GPU-f"], ["handle 2", "handle GPU-f"]),
        (["7", "1"], ["handle 1"]),
        ([], []),
    ],
)
def test_of_the_gpus_only_those_of_the_run_are_looked_at(
    store: Store, parts: list[Any], gpus: list[str] | None, looked_at: list[str]
) -> None:
    watch_machine(store, "a" * 32, gpus)
    (found,) = [part for part in parts if isinstance(part, gpu_monitor.GPUMonitor)]
    assert found.gpu_handles == looked_at


def test_a_run_that_is_resumed_is_watched_on_in_its_own_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    class Monitor:
        def __init__(self, *given: Any, **options: Any) -> None:
            self.monitors: list[Any] = []
            made.append((given, options))

        def start(self) -> None:
            made.append("started")

    monkeypatch.setattr(system_metrics_monitor, "SystemMetricsMonitor", Monitor)
    watch_machine(Store(uri="http://mlflow:5000", experiment="x", artifacts=None), "run-1", None)
    options = {
        "sampling_interval": SECONDS,
        "resume_logging": True,  # else the steps of the metrics begin again
        "tracking_uri": "http://mlflow:5000",
    }
    assert made == [(("run-1",), options), "started"]
