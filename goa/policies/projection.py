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


@torch.no_grad()
def distributions(states: Tensor, head: Head) -> Iterator[tuple[slice, Tensor]]:
    """Give log-probabilities over the vocabulary, [n, V], of a few rows of states [N, d] at a time.

    They are in float32 at least, and the caller may change them.
    """
    logits_of = _Logits(states * head.scale, head.weight, head.bias, head.dtype)
    for rows in logits_of.chunks():
        yield rows, logits_of.less(rows).log_softmax(dim=-1)


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
            logits = logits_of.less(rows)
            chosen[rows] = logits.gather(1, tokens[rows].unsqueeze(1)).squeeze(1)
            top = logits.amax(dim=1, keepdim=True)
            logits -= top
            mass = logits.exp() if with_entropy else logits.exp_()
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
        rows = ((by_normaliser != 0) | (by_chosen != 0) | (by_entropy != 0)).nonzero().squeeze(1)
        way_back = _WayBack(
            logits=_Logits(states[rows], weight, bias, ctx.dtype),
            normaliser=normaliser[rows],
            by_normaliser=by_normaliser[rows],
            by_entropy=by_entropy[rows],
            entropy=entropy[rows],
        )
        of_states = torch.zeros_like(states)
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        of_bias = None if bias is None else torch.zeros_like(bias)
        of_states[rows] = way_back.add_to(of_weight, of_bias).to(states.dtype)
        # The chosen tokens' own logits: a row of the weights each.
        scale = by_chosen.to(states.dtype).unsqueeze(1)
        of_states.addcmul_(weight[tokens].to(states.dtype), scale)
        if of_weight is not None:
            of_weight.index_add_(0, tokens, (states * scale).to(weight.dtype))
        if of_bias is not None:
            of_bias.index_add_(0, tokens, by_chosen.to(of_bias.dtype))
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
        self.bias = bias
        self.wide = torch.promote_types(dtype, torch.float32)

    def chunks(self) -> Iterator[slice]:
        size = max(1, CHUNK // len(self.weight))
        for start in range(0, len(self.states), size):
            yield slice(start, start + size)

    def less(self, rows: slice, offsets: Tensor | None = None) -> Tensor:
        """Give the logits of some rows, in float32 at least, less one offset each, [N].

        The caller may change them.
        """
        states, weight = self.states[rows], self.weight.t()
        added = self.bias
        if offsets is not None:
            added = -offsets[rows].unsqueeze(1) + (0.0 if self.bias is None else self.bias)
        if added is None:
            return (states @ weight).to(self.wide)
        if states.dtype == self.wide:
            return torch.addmm(added.to(self.wide), states, weight)
        return (states @ weight).to(self.wide).add_(added)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WayBack:
    """Gradients of normalisers, and of entropies, of N tokens."""

    logits: _Logits
    normaliser: Tensor
    by_normaliser: Tensor
    by_entropy: Tensor
    entropy: Tensor

    def add_to(self, of_weight: Tensor | None, of_bias: Tensor | None) -> Tensor:
        """Give the gradient of the states; add those of weight and bias."""
        states, weight = self.logits.states, self.logits.weight
        of_states = torch.empty_like(states)
        follows_entropy = bool((self.by_entropy != 0).any())
        for rows in self.logits.chunks():
            found = self.logits.less(rows, self.normaliser)
            scale = self.by_normaliser[rows].unsqueeze(1)
            if follows_entropy:
                each = found + self.entropy[rows].unsqueeze(1)
                each.mul_(-self.by_entropy[rows].unsqueeze(1)).add_(scale)
                found, scale = found.exp_().mul_(each), torch.ones_like(scale)
            else:
                # The scale of a row goes to what is narrow, not to all of the vocabulary.
                found = found.exp_()
            narrow, scale = found.to(states.dtype), scale.to(states.dtype)
            of_states[rows] = (narrow @ weight) * scale
            if of_weight is not None:
                _add_product(of_weight, narrow.t(), states[rows] * scale)
            if of_bias is not None:
                of_bias += (found.t() @ scale.to(found.dtype)).squeeze(1)
        return of_states
