"""Parts of a model as their weights say, computed in a chosen precision."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A matrix product with its bias, in the precision it is computed in."""

    weight: Tensor
    """[out, in]."""
    bias: Tensor | None
    """[out]."""

    def __call__(self, values: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        return functional.linear(values.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A layer normalisation."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, values: Tensor) -> Tensor:
        """Normalise [..., d], in the precision of the weights."""
        return functional.layer_norm(
            values, self.weight.shape, self.weight, self.bias, self.epsilon
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootNorm:
    """A normalisation by the root mean square (Zhang and Sennrich, 2019)."""

    weight: Tensor
    epsilon: float

    def __call__(self, values: Tensor) -> Tensor:
        """Normalise [..., d]; gives the precision of the weights."""
        shape, weight = self.weight.shape, self.weight
        if values.dtype == weight.dtype:
            return functional.rms_norm(values, shape, weight, self.epsilon)
        return functional.rms_norm(values, shape, eps=self.epsilon).to(weight.dtype) * weight


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """Two matrix products with an activation between them, which may be gated (Shazeer, 2020)."""

    inner: Linear
    """[f, d]; where gated [2f, d], the gates first."""
    outer: Linear
    """[d, f]."""
    activation: nn.Module
    gated: bool

    def __call__(
        self, values: Tensor, drop_inner: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Map [..., d] to [..., d]; what goes into the second product may be dropped from."""
        inner = self.inner(values)
        if self.gated:
            gates, carried = inner.chunk(2, dim=-1)
            inner = self.activation(gates) * carried
        else:
            inner = self.activation(inner)
        return self.outer(inner if drop_inner is None else drop_inner(inner))


def read_linear(dtype: torch.dtype, *modules: Any) -> Linear:
    """Join linear modules that read the same into one; gradients reach their weights.

    Args:
        dtype: to compute in.
        modules: whose outputs are to lie behind each other; all have biases, or none.
    """
    weight = _joined([module.weight for module in modules]).to(dtype)
    if modules[0].bias is None:
        return Linear(weight=weight, bias=None)
    return Linear(weight=weight, bias=_joined([module.bias for module in modules]).to(dtype))


def read_norm(module: Any) -> Norm:
    """Read a layer normalisation."""
    return Norm(weight=module.weight, bias=module.bias, epsilon=module.eps)


def read_root_norm(module: Any) -> RootNorm:
    """Read a normalisation as transformers' kinds of Llama and T5 name its parts."""
    return RootNorm(weight=module.weight, epsilon=module.variance_epsilon)


def are_plain(embedding: Any, linears: Iterable[Any]) -> bool:
    """Say whether modules compute what their weights say; one with an adapter does not."""
    return isinstance(embedding, nn.Embedding) and all(
        type(module) is nn.Linear for module in linears
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Put parts behind each other; one alone is taken as it is, not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
