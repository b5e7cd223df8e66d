"""The GPUs of this machine, as their driver knows them."""

from collections.abc import Iterator, Sequence
from typing import Any


def gpu_handles(names: Sequence[str]) -> Iterator[Any]:
    """Find GPUs by number or UUID; what the driver does not know is left out."""
    import pynvml  # noqa: PLC0415 - callers make sure that it is there

    for name in names:
        try:
            if name.isdigit():
                yield pynvml.nvmlDeviceGetHandleByIndex(int(name))
            else:
                yield pynvml.nvmlDeviceGetHandleByUUID(name)
        except pynvml.NVMLError:
            continue
