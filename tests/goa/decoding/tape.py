"""A recording of what is computed on a CPU, as a CUDA graph is one on a GPU.

Each operation is kept with the very tensors it read and wrote; to play is to do all of them again
in those tensors. As with a graph, nothing happens while it is recorded: what was written is put
back, and what came out is spoilt. What would make a GPU wait, or copy something to it, is an error.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "lift_fresh",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "_unique2",
}
"""Operations that give the host something of a tensor, or a tensor something of the host."""


class Tape(TorchDispatchMode):
    """Operations with their tensors, as they were done."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do an operation, and keep it."""
        kwargs = kwargs or {}
        if waits(func, args):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        for written in _written(func, args, kwargs):
            self._before.append((written, written.clone()))
        out = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, out))
        return out

    def undo(self) -> None:
        """Put back what was there, and spoil what came out."""
        for _, args, kwargs, out in self.operations:
            for each in _new(out, (args, kwargs)):
                each.fill_(float("nan") if each.is_floating_point() else 1)
        for tensor, before in reversed(self._before):
            tensor.copy_(before)

    def play(self) -> None:
        """Do everything again, in the same tensors."""
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            kept = _new(out, (args, kwargs))
            for old, new in zip(kept, _new(again, (args, kwargs)), strict=True):
                old.copy_(new)


def waits(func: Any, args: tuple[Any, ...]) -> bool:
    """Say whether an operation is one of those, or indexes by a mask, which is to count it."""
    name = func.overloadpacket.__name__
    by_mask = name in {"index", "index_put", "index_put_"} and any(
        index is not None and index.dtype == torch.bool for index in args[1]
    )
    return name in WAITS or by_mask


def record(work: Callable[[], None]) -> Callable[[], None]:
    """Record work as a CUDA graph does."""
    tape = Tape()
    try:
        with tape:
            work()
    finally:
        tape.undo()
    return tape.play


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """Give the arguments that an operation writes to."""
    for place, argument in enumerate(func._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def _new(out: Any, given: Any) -> list[Tensor]:
    """Give the tensors that came out in memory of their own."""
    places = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(given) if _is(leaf)}
    return [
        leaf
        for leaf in tree_leaves(out)
        if _is(leaf) and leaf.untyped_storage().data_ptr() not in places
    ]


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)
