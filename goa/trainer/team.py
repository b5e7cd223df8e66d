"""Several processes that train one policy, each on its share of every round."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from goa.policies.sharding import is_sharded

Value = TypeVar("Value")


class Team:
    """One process of several that hold the same weights and take the same steps.

    Each learns from every ``size``-th source; sums over the team make up the whole round, so that
    how many processes there are changes no gradient but in its last bits. Alone, it is a team of
    one, and nothing is sent anywhere.
    """

    def __init__(self, state: Any = None) -> None:
        """Join a team.

        Args:
            state: accelerate's ``PartialState``; None means alone.
        """
        self._state = state
        self.rank: int = 0 if state is None else state.process_index
        """This process's place, from 0."""
        self.size: int = 1 if state is None else state.num_processes
        """How many processes there are."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and says things."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which sources of a round are this process's."""
        return slice(self.rank, None, self.size)

    def totals(self, values: Sequence[float]) -> list[float]:
        """Sum numbers, place by place, over the team; every process gets the sums."""
        if self.size == 1:
            return list(values)
        summed = self._sum(torch.tensor(values, dtype=torch.float64))
        return [float(value) for value in summed]

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients of parameters over the team, where any process has one.

        Where none has, there is none afterwards either: the optimiser leaves such weights alone.
        Those of sharded weights are summed on the way back already.
        """
        if self.size == 1:
            return
        weights = [weight for weight in parameters if not is_sharded(weight)]
        known = self.totals([float(weight.grad is not None) for weight in weights])
        for weight, num_known in zip(weights, known, strict=True):
            if num_known:
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                weight.grad = self._sum(gradient)

    def most(self, number: int) -> int:
        """Give the largest of the numbers that the processes bring."""
        if self.size == 1:
            return number
        from accelerate.utils import gather  # noqa: PLC0415 - teams of one do without

        return int(gather(torch.tensor([number], device=self._state.device)).max())

    def gather(self, values: Sequence[Value]) -> list[Value]:
        """Join lists, process by process; every process gets the whole."""
        if self.size == 1:
            return list(values)
        from accelerate.utils import gather_object  # noqa: PLC0415 - teams of one do without

        return list(gather_object(list(values)))

    def wait(self) -> None:
        """Wait until all processes have come as far as this."""
        if self.size > 1:
            self._state.wait_for_everyone()

    def _sum(self, values: Tensor) -> Tensor:
        from accelerate.utils import reduce  # noqa: PLC0415 - teams of one do without

        device = values.device
        summed: Tensor = reduce(values.to(self._state.device), "sum")
        return summed.to(device)


def join_team(device: torch.device, size: int) -> Team:
    """Join the team that this process was started in, or be alone where ``size`` is 1."""
    if size == 1:
        return Team()
    from accelerate import PartialState  # noqa: PLC0415 - teams of one do without

    # Otherwise accelerate, which does not know of compute.threads, sets the number itself.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return Team(PartialState(cpu=device.type == "cpu"))
