"""What the machine does while a run goes on, beside the run's own metrics."""

from collections.abc import Sequence

from goa.tracking.gpus import gpu_handles
from goa.tracking.store import Store

SECONDS = 10.0
"""Between two looks, and before the first: a shorter run has none of these metrics.
MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says otherwise."""


def watch_machine(store: Store, run_id: str, gpus: Sequence[str] | None) -> None:
    """Log ``system/*`` metrics of this machine to a run, in a thread, until the run has ended.

    Args:
        store: where the run is.
        run_id: the run.
        gpus: those the run has, as CUDA_VISIBLE_DEVICES names them; its metrics count them from 0.
            None: all of the machine.
    """
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor  # noqa: PLC0415
    from mlflow.system_metrics.system_metrics_monitor import (  # noqa: PLC0415
        SystemMetricsMonitor,
    )

    monitor = SystemMetricsMonitor(
        run_id, sampling_interval=SECONDS, resume_logging=True, tracking_uri=store.uri
    )
    for part in monitor.monitors:
        if gpus is not None and isinstance(part, GPUMonitor):
            part.gpu_handles = list(gpu_handles(gpus))
    monitor.start()
