"""Work that is done again and again in the same memory, recorded once (CUDA graphs).

A step of a small model is hundreds of operations, each launched by itself: on a GPU, launching can
take longer than computing. A recording is launched at once.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch

from goa.errors import excerpt, is_lack_of_memory
from goa.policies.policy import Policy

Work = Callable[[], None]
Record = Callable[[Work], Work]
"""Records work, without doing it; gives what does it.

Work that is recorded reads and writes tensors in place, and takes nothing from the device: what it
decides by, it decides for good."""


class Repeated:
    """Work that is recorded once it has been done in the memory it is in.

    The first time is not recorded: libraries make themselves ready in it.

    Args:
        work: what is done.
        record: how to record it; None: it is done anew each time.
    """

    def __init__(self, work: Work, record: Record | None) -> None:
        self._work = work
        self._record = record
        self._done = False
        self._play: Work | None = None

    def run(self) -> None:
        """Do the work once more."""
        if self._play is None and self._done and self._record is not None:
            self._play = self._recorded(self._record)
        if self._play is None:
            self._work()
            self._done = True
        else:
            self._play()

    def forget(self) -> None:
        """Let it be recorded anew: it is other work now, or in other memory."""
        self._play, self._done = None, False

    def _recorded(self, record: Record) -> Work | None:
        try:
            return record(self._work)
        except RuntimeError as error:
            if is_lack_of_memory(error):
                raise
            told = excerpt(str(error).splitlines()[0]) if str(error) else type(error).__name__
        warnings.warn(
            f"the steps of this policy cannot be recorded as CUDA graphs ({told}); they are "
            "launched operation by operation (compute.cuda_graphs: false does so from the start)",
            stacklevel=2,
        )
        self._record = None
        return None


def recorder(policy: Policy) -> Record | None:
    """Give what records a policy's steps, where it is told to, and on a GPU; else None."""
    if not policy.cuda_graphs or policy.device.type not in RECORDERS:
        return None
    return RECORDERS[policy.device.type](policy.device)


class CudaGraphs:
    """Records as CUDA graphs, each of which takes the place of the one before, memory included.

    The memory of the last, no more than a step takes, is kept until the process ends.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._last: torch.cuda.CUDAGraph | None = None

    def __call__(self, work: Work) -> Work:
        """Record."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            self._stream.synchronize()
            # Not "global": other threads, as of processes that compute together, may go on.
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                with suppress(RuntimeError):
                    graph.capture_end()
                raise
            graph.capture_end()
        self._last = graph  # The one before went on until now: a pool is lost with its last graph.
        return graph.replay


RECORDERS: dict[str, Callable[[torch.device], Record]] = {"cuda": cache(CudaGraphs)}
"""By kind of device."""
