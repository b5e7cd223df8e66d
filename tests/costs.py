"""What a stage cost, to be changed by a test."""

from typing import Any

from goa.tracking.cost import Cost


def make_cost(stage: str = "pretrain", **changes: Any) -> Cost:
    """Say that a stage took a minute and a half on a machine whose counters cannot be read."""
    values: dict[str, Any] = {
        "seconds": 90.0,
        "peak_memory": 2_000_000,
        "peak_gpu_memory": None,
        "energy": None,
        "machine": "A processor, 2 cores",
        "work": {},
    }
    return Cost(stage=stage, **{**values, **changes})
