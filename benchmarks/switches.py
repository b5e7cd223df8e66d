"""How each technique of writing and updating is left out: goa's own functions, others for a while.

goa itself has no such switches. What stands in for a function gives the same, up to rounding,
unless it says otherwise.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from goa.decoding import batching, beam, generation, stepwise
from goa.policies import attention_cache, decoder_only, encoder_decoder, policy
from goa.policies.output_head import Head
from goa.policies.policy import Policy, Writing
from goa.policies.projection import Said, read_off
from goa.policies.tokens import WantedEntropy
from goa.rollouts.rollout import Rollout

Switch = Callable[[], AbstractContextManager[Any]]
"""Makes goa do without a technique, or with another one, for a while."""


def _unknown(*_: Any) -> None:
    """Know no such model, so that transformers' own forward is used."""


def _drawn_plainly(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draw by running sums over the whole vocabulary."""
    sums = logits.softmax(dim=-1).cumsum(dim=-1)
    points = uniform.to(sums.dtype).unsqueeze(1) * sums[:, -1:]
    tokens = torch.searchsorted(sums, points, right=True).clamp(max=logits.shape[1] - 1)
    return tokens.squeeze(1), logits.logsumexp(dim=-1)


def _drawn_by_torch(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draw with torch's own randomness: other tokens."""
    del uniform
    tokens = torch.multinomial(logits.softmax(dim=-1), num_samples=1)
    return tokens.squeeze(1), logits.logsumexp(dim=-1)


def _in_the_order_given(
    writer: Policy, needs: Tensor, write: Callable[[Tensor], Any]
) -> Iterator[tuple[Tensor, Any]]:
    """Take batches of sources as they come: to the sorting, all are alike."""
    return batching.in_batches(writer, torch.full_like(needs, int(needs.max())), write)


def _always_moved(writing: Writing, rows: Tensor) -> None:
    writing.logits = writing.logits[:, :0]
    writing.select(rows)


def _projected_at_once(states: Tensor, head: Head, tokens: Tensor, entropy: WantedEntropy) -> Said:
    """Make and keep all distributions."""
    bias = None if head.bias is None else head.bias.to(head.dtype)
    scaled = (states * head.scale).to(head.dtype)
    logits = functional.linear(scaled, head.weight.to(head.dtype), bias)
    return read_off(logits.to(torch.promote_types(head.dtype, torch.float32)), tokens, entropy)


def _none_alike(tokens: Tensor, mask: Tensor) -> Tensor:
    del mask
    return torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape[:2])


def _as_it_is(rollout: Rollout) -> Rollout:
    return rollout


steps_by_transformers: Switch = partial(patch.object, encoder_decoder, "read_decoder", _unknown)
"""The decoder's keys and values of a source are kept once for each candidate."""
prompts_for_each: Switch = partial(patch.object, decoder_only, "read_prompt_decoder", _unknown)
"""The same of prompts, in writing and in updates."""
passes_by_transformers: Switch = partial(patch.object, encoder_decoder, "read_forcing", _unknown)
"""A source is repeated for each candidate, and padding computed like anything else."""
ended_rows_stay: Switch = partial(patch.object, stepwise, "COMPACT_BELOW", 0.0)
"""Rows stay in the batch until all have ended."""
cache_by_candidate: Switch = partial(patch.object, attention_cache, "SHORT", 0)
"""Fused attention from the first token on."""
draws_in_one_go: Switch = partial(patch.object, generation, "draw", _drawn_plainly)
draws_by_torch: Switch = partial(patch.object, generation, "draw", _drawn_by_torch)
batches_as_given: Switch = partial(patch.object, generation, "in_batches", _in_the_order_given)
rows_always_move: Switch = partial(patch.object, beam, "move", _always_moved)
distributions_at_once: Switch = partial(patch.object, policy, "project", _projected_at_once)
alike_are_others: Switch = partial(patch.object, policy, "first_alike", _none_alike)
passes_as_given: Switch = partial(patch.object, Rollout, "by_length", _as_it_is)


def recorded(chosen: Policy) -> Switch:
    """Let one policy record its steps, where it is on a GPU."""
    return partial(patch.object, chosen, "cuda_graphs", True)


def in_bfloat16(chosen: Policy) -> Switch:
    """Let one policy multiply matrices in bfloat16, which gives something else."""
    return partial(patch.object, chosen, "precision", "bfloat16")
