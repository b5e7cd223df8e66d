"""Sources in batches that memory holds."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from goa.errors import PolicyError, is_lack_of_memory
from goa.policies.policy import Policy

Written = TypeVar("Written")

ON_A_CPU = 2**30
"""Bytes for what is kept of tokens on a CPU: batches that need more are no faster."""
ON_A_GPU = 0.5
"""Share of a GPU's free memory for the same; the rest is for what is computed of tokens."""


def in_batches(
    policy: Policy, needs: Tensor, write: Callable[[Tensor], Written]
) -> Iterator[tuple[Tensor, Written]]:
    """Write for B sources, as many at a time as memory holds; those alike in need together.

    Where memory runs out after all, batches are halved from then on, with a warning, and the one
    that failed is written again.

    Args:
        policy: who writes; says how many tokens are held at a time, and is told where it was
            wrong.
        needs: [B] tokens that a source takes with its candidates as long as they may get.
        write: given the indices of some sources.

    Gives the indices of each batch with what was written.

    Raises:
        PolicyError: memory does not hold a single source with its candidates.
    """
    order = needs.argsort(descending=True, stable=True)
    start = 0
    while start < len(order):
        most = int(needs[order[start]])
        size = max(1, _capacity(policy) // most)
        rows = order[start : start + size]
        written = _attempt(write, rows)
        if written is not None:
            yield rows, written
            start += size
        elif len(rows) == 1:
            raise PolicyError(
                f"not enough memory on {policy.device} to write the {most} tokens that the "
                "candidates of one source may have; lower num_candidates or max_tokens"
            )
        else:
            policy.tokens_at_once = most * len(rows) // 2
            warnings.warn(
                f"not enough memory on {policy.device} to write for {len(rows)} sources at a time; "
                f"going on with {max(1, policy.tokens_at_once // most)} "
                f"(compute.tokens_at_once: {policy.tokens_at_once})",
                stacklevel=2,
            )


def _attempt(write: Callable[[Tensor], Written], rows: Tensor) -> Written | None:
    """Write; None where memory runs out."""
    try:
        return write(rows)
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        lacks_on_a_gpu = isinstance(error, torch.OutOfMemoryError)
    # Not above: with the error live the tensors of the calls that it came through.
    if lacks_on_a_gpu:
        torch.cuda.empty_cache()
    return None


def _capacity(policy: Policy) -> int:
    """Give the tokens that are held at a time: as told, or those whose keys and values fit."""
    if policy.tokens_at_once is None:
        room: float = ON_A_CPU
        if policy.device.type == "cuda":
            room = ON_A_GPU * torch.cuda.mem_get_info(policy.device)[0]
        per_token = 2 * policy.num_layers * policy.state_size * policy.product_dtype.itemsize
        policy.tokens_at_once = max(1, int(room / per_token))
    return policy.tokens_at_once
