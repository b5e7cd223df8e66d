"""A device that holds tensors apart and computes with the CPU, for machines without a GPU.

What a GPU refuses it refuses, too: tensors of two devices in one operation (but for numbers), and
to be read as an array. Importing this registers the device for the rest of the process, and other
libraries find an accelerator then: so programs import it that tests start.

On torch's registration of devices written in Python (``torch.utils.backend_registration``).
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.goa.decoding.tape import waits

NAME = "away"
waited: list[str] = []
"""What was waited for so far."""


class There(Tensor):
    """A tensor on the device."""

    held: Tensor
    """The same on the CPU, which nobody else sees."""

    @staticmethod
    def __new__(cls, held: Tensor) -> "There":
        """Wrap."""
        made: There = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute."""
        return computed(func, *args, **(kwargs or {}))

    def __repr__(self) -> str:  # type: ignore[override]
        """Say what it is."""
        return f"There({self.held})"

    def tolist(self) -> Any:
        """Wait for the values."""
        waited.append("tolist")
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as a GPU's tensors do."""
        raise TypeError(f"can't convert a tensor on {self.device} to numpy")


def computed(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Do an operation with what tensors hold; gives tensors of the device, where it is theirs."""
    name = func.overloadpacket.__name__
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    is_there = any(isinstance(leaf, There) for leaf in given)
    if name == "_copy_from":
        computed(torch.ops.aten.copy_.default, args[1], args[0])
        return args[1]
    if name == "copy_":
        is_there = isinstance(args[0], There)
    elif is_there and name != "_to_copy":
        here = [leaf for leaf in given if not isinstance(leaf, There) and leaf.dim() > 0]
        if here:
            raise RuntimeError(f"Expected all tensors to be on the same device: {func} of {here}")
    device = kwargs.get("device")
    if name == "_to_copy" and is_there and torch.device(device or NAME).type != NAME:
        waited.append(name)
    if device is not None:
        is_there = torch.device(device).type == NAME
        kwargs = kwargs | {"device": torch.device("cpu")}
    if waits(func, args):
        waited.append(name)
    held_args, held_kwargs = tree_map(_held, (args, kwargs))
    out = func(*held_args, **held_kwargs)
    if name == "_to_copy" and out is held_args[0]:
        out = out.clone()
    if is_there:
        out = tree_map(lambda leaf: There(leaf) if isinstance(leaf, Tensor) else leaf, out)
    if not any(isinstance(leaf, There) for leaf in given):
        return out
    return return_and_correct_aliasing(func, args, kwargs, out)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, There) else value


torch.__future__.set_swap_module_params_on_conversion(True)  # else weights that are tied come apart
_setup_privateuseone_for_python_backend(NAME)
_ANY, _ATEN = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
_ANY.fallback(computed, "PrivateUse1")
for _name, _func in {
    "empty.memory_format": torch.ops.aten.empty.memory_format,
    "empty_strided": torch.ops.aten.empty_strided.default,
    "_copy_from": torch.ops.aten._copy_from.default,
}.items():
    _ATEN.impl(_name, partial(computed, _func), "PrivateUse1")
DEVICE = torch.device(NAME, 0)
