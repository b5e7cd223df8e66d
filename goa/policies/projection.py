"""From a decoder's states to what its distributions say of given tokens.

The distributions themselves, [N, V], are the largest thing in an update by far. They are made a few
rows at a time, forward and again on the way back, and never kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from goa.policies.output_head import Head
from goa.policies.tokens import WantedEntropy

CHUNK = 2**20
"""Logits that are held at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What N distributions say, [N] each, in float32 at least."""

    log_probs: Tensor
    """Of the given tokens."""
    mean_log_probs: Tensor
    """Averaged over the vocabulary."""
    entropy: Tensor | None
    """In nats; None where not asked for."""


def project(states: Tensor, head: Head, tokens: Tensor, entropy: WantedEntropy) -> Said:
    """Say what the distributions that states stand for give to tokens, with gradient.

    Args:
        states: [N, d].
        head: makes logits of them.
        tokens: [N].
        entropy: whether that is wanted, and whether with gradient.
    """
    states = states if head.scale == 1.0 else states * head.scale
    normaliser, chosen, found = _Projection.apply(  # type: ignore[no-untyped-call]
        states, head.weight, head.bias, tokens, (head.dtype, entropy != "none")
    )
    return Said(
        log_probs=chosen - normaliser,
        mean_log_probs=_mean_logits(states, head).to(normaliser.dtype) - normaliser,
        entropy=None if entropy == "none" else found if entropy == "gradient" else found.detach(),
    )


def read_off(logits: Tensor, tokens: Tensor, entropy: WantedEntropy) -> Said:
    """Say what :func:`project` does of logits [N, V] that are there."""
    normaliser = logits.logsumexp(dim=-1)
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    entropies = None
    if entropy != "none":
        with torch.set_grad_enabled(entropy == "gradient" and torch.is_grad_enabled()):
            probs = (logits - normaliser.unsqueeze(-1)).exp()
            entropies = normaliser - (probs * logits).sum(dim=-1)
    return Said(
        log_probs=chosen - normaliser,
        mean_log_probs=logits.mean(dim=-1) - normaliser,
        entropy=entropies,
    )


def _mean_logits(states: Tensor, head: Head) -> Tensor:
    """Average logits over the vocabulary: the mean of the weights does it."""
    means = states @ head.weight.mean(dim=0).to(states.dtype)
    return means if head.bias is None else means + head.bias.mean()


class _Projection(torch.autograd.Function):
    """(states [N, d], ...) -> normaliser ``log sum exp`` of the logits, chosen logits, entropy.

    With p the softmax of the logits z, g the gradients, and H the entropy,
    ``dz = p (g_normaliser - g_entropy (log p + H)) + [chosen] g_chosen``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        tokens: Tensor,
        how: tuple[torch.dtype, bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype, with_entropy = how
        wide = torch.promote_types(dtype, torch.float32)
        normaliser, chosen = (states.new_empty(len(states), dtype=wide) for _ in range(2))
        entropy = torch.zeros_like(normaliser)
        logits_of = _Logits(states, weight, bias, dtype)
        for rows in logits_of.chunks():
            logits = logits_of[rows]
            chosen[rows] = logits.gather(1, tokens[rows].unsqueeze(1)).squeeze(1)
            top = logits.amax(dim=1, keepdim=True)
            logits -= top
            mass = logits.exp()
            total = mass.sum(dim=1, keepdim=True)
            normaliser[rows] = (top + total.log()).squeeze(1)
            if with_entropy:
                spread = mass.mul_(logits).sum(dim=1, keepdim=True)
                entropy[rows] = (total.log() - spread / total).squeeze(1)
        ctx.save_for_backward(states, weight, bias, tokens, normaliser, entropy)
        ctx.dtype = dtype
        return normaliser, chosen, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias, tokens, normaliser, entropy = ctx.saved_tensors
        by_normaliser, by_chosen, by_entropy = gradients
        # What nothing is learnt from costs nothing: such as candidates without an advantage.
        counts = ((by_normaliser != 0) | (by_chosen != 0) | (by_entropy != 0)).nonzero().squeeze(1)
        logits_of = _Logits(states[counts], weight, bias, ctx.dtype)
        of_states = torch.zeros_like(states)
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        of_bias = None if bias is None else torch.zeros_like(bias)
        follows_entropy = bool((by_entropy != 0).any())
        for part in logits_of.chunks():
            rows = counts[part]
            log_probs = logits_of[part].sub_(normaliser[rows].unsqueeze(1))
            if follows_entropy:
                each = log_probs + entropy[rows].unsqueeze(1)
                each.mul_(-by_entropy[rows].unsqueeze(1)).add_(by_normaliser[rows].unsqueeze(1))
                found = log_probs.exp_().mul_(each)
            else:
                found = log_probs.exp_().mul_(by_normaliser[rows].unsqueeze(1))
            found.scatter_add_(1, tokens[rows].unsqueeze(1), by_chosen[rows].unsqueeze(1))
            narrow = found.to(ctx.dtype)
            of_states[rows] = (narrow @ logits_of.weight).to(states.dtype)
            if of_weight is not None:
                _add_product(of_weight, narrow.t(), logits_of.states[part])
            if of_bias is not None:
                of_bias += found.sum(dim=0)
        return of_states, of_weight, of_bias, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


class _Logits:
    """Logits of N states, a few rows at a time."""

    def __init__(
        self, states: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> None:
        self.states = states.to(dtype)
        self.weight = weight.to(dtype)
        self._bias = bias
        self._wide = torch.promote_types(dtype, torch.float32)

    def chunks(self) -> Iterator[slice]:
        size = max(1, CHUNK // len(self.weight))
        for start in range(0, len(self.states), size):
            yield slice(start, start + size)

    def __getitem__(self, rows: slice) -> Tensor:
        """Give the logits of some rows, in float32 at least; the caller may change them."""
        logits = (self.states[rows] @ self.weight.t()).to(self._wide)
        return logits if self._bias is None else logits.add_(self._bias)
