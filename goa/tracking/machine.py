"""What the machine does while a run goes on, beside the run's own metrics."""

from goa.tracking.store import Store

SECONDS = 10.0
"""Between two looks; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says otherwise."""


def watch_machine(store: Store, run_id: str) -> None:
    """Log ``system/*`` metrics of this machine to a run, in a thread, until the run has ended."""
    from mlflow.system_metrics.system_metrics_monitor import (  # noqa: PLC0415
        SystemMetricsMonitor,
    )

    monitor = SystemMetricsMonitor(
        run_id, sampling_interval=SECONDS, resume_logging=True, tracking_uri=store.uri
    )
    monitor.start()
