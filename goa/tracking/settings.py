"""Where runs are recorded."""

from pydantic import Field

from goa.settings import Settings


class TrackingSettings(Settings):
    """How MLflow files the runs; no result depends on it.

    The server is not a setting of the project but of the machine: ``MLFLOW_TRACKING_URI``.
    """

    experiment: str = Field("goa", min_length=1, max_length=500)
    """The MLflow experiment that all runs of this project are in."""
    system_metrics: bool = True
    """Record processor, memory, disk and network of the machine while a stage trains, and the GPUs
    that the stage was given, where nvidia-ml-py is installed; every 10 seconds."""
