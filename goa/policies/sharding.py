"""A model's weights spread over the processes that train it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

Result = TypeVar("Result")


class Shards:
    """One process's parts of a model: of each weight, an equal share of its rows.

    PyTorch's fully sharded data parallelism (Rajbhandari et al., 2020, stage 3). A pass with
    gradient gathers the weights layer by layer and sums gradients over the processes, each to
    whoever keeps the weight, so all of them must make the same passes. Between :meth:`whole`'s ends
    every process has all weights, and goes its own way.
    """

    def __init__(self, model: nn.Module, device: torch.device, size: int) -> None:
        """Spread a model; called by all processes of the team alike.

        Args:
            model: changed in place; afterwards its weights are DTensors on ``device``.
            device: this process's.
            size: how many processes there are.
        """
        # Models give views and so do we; nothing is changed in place afterwards.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        mesh = init_device_mesh(device.type, (size,))
        self._root: Any = _Root(model)
        self._layers: list[Any] = list(_layers(model))
        for layer in self._layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(self._root, mesh=mesh, reshard_after_forward=False)
        for unit in self._units:
            # The sum, not the mean, by all that gloo knows.
            unit.set_gradient_divide_factor(1.0)
            unit.set_force_sum_reduction_for_comms(True)
        self._is_whole = False
        with torch.no_grad():
            self.run(lambda: None)  # whoever runs first is taken for the root

    @property
    def _units(self) -> list[Any]:
        return [*self._layers, self._root]

    def run(self, call: Callable[[], Result]) -> Result:
        """Run what passes through the model, gathering weights as it comes by them."""
        if self._is_whole:
            return call()
        result: Result = self._root(call)
        if not torch.is_grad_enabled():
            self._root.reset_iter_state()  # otherwise the way back does it
        return result

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Gather all weights, for a while; they can be read, not trained."""
        if self._is_whole:
            yield
            return
        for unit in self._units:
            unit.unshard()
        self._root.set_reshard_after_forward(False, recurse=True)
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
            for layer in self._layers:
                layer.set_reshard_after_forward(True, recurse=False)
            # Which layers ran, how often, must be forgotten: it differs from process to process,
            # and is what the next way back would foresee its gathering by.
            self._root.reset_iter_state()


def is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    """Say whether a tensor is spread over processes."""
    return isinstance(tensor, DTensor)


def own_part(tensor: Tensor) -> Tensor:
    """Give what this process has of a tensor."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def gathered(tensor: Tensor) -> Tensor:
    """Give the whole of a tensor; where it is sharded, all processes must ask for it."""
    return tensor.full_tensor().detach() if is_sharded(tensor) else tensor


def spread_like(weight: Tensor, value: Tensor) -> Tensor:
    """Give this process's part of a value that all processes have whole, as a weight is spread."""
    if not is_sharded(weight) or is_sharded(value):
        return value
    value = value.to(weight.device)
    return distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None)


class _Root(nn.Module):
    """Holds a model, and runs whatever uses it as one forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Find the layers of a stack, of encoder or decoder: the outermost lists of modules."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)
