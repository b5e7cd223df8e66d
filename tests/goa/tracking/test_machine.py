"""Watching the machine."""

from typing import Any

import mlflow.system_metrics.system_metrics_monitor as mlflows
import pytest

from goa.tracking.machine import SECONDS, watch_machine
from goa.tracking.store import Store


def test_a_run_that_is_resumed_is_watched_on_in_its_own_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    class Monitor:
        def __init__(self, *given: Any, **options: Any) -> None:
            made.append((given, options))

        def start(self) -> None:
            made.append("started")

    monkeypatch.setattr(mlflows, "SystemMetricsMonitor", Monitor)
    watch_machine(Store(uri="http://mlflow:5000", experiment="x", artifacts=None), "run-1")
    options = {
        "sampling_interval": SECONDS,
        "resume_logging": True,  # else the steps of the metrics begin again
        "tracking_uri": "http://mlflow:5000",
    }
    assert made == [(("run-1",), options), "started"]
