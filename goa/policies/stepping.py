"""Decoders of Marian's and BART's kind, a token at a time, computed from their weights.

transformers' own step keeps the source's keys and values once for each candidate, and lays the
cache out anew at every token. Here the K candidates of a source share its keys and values, the
cache has room ahead, and queries, keys and values come out of one matrix product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BartForConditionalGeneration, MarianMTModel, PreTrainedModel

from goa.policies.attention_cache import AttentionCache, attend_source, new_cache
from goa.policies.policy import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A matrix product with its bias, in the precision it is computed in."""

    weight: Tensor
    """[out, in]."""
    bias: Tensor
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
class Layer:
    """One layer of the decoder."""

    joint: Linear
    """Queries, keys and values of the candidate so far, 3d."""
    joint_out: Linear
    joint_norm: Norm
    query: Linear
    """Queries to the source."""
    source: Linear
    """Keys and values of the source, 2d."""
    source_out: Linear
    source_norm: Norm
    inner: Linear
    outer: Linear
    norm: Norm
    activation: nn.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """All that writing the next token takes."""

    embedding: Tensor
    """[V, d]."""
    still_id: int | None
    """The token whose embedding is not learnt as such, padding."""
    scale: float
    """Of the embedding."""
    positions: Tensor
    """[P, d]."""
    embedding_norm: Norm | None
    layers: tuple[Layer, ...]
    head: Linear
    num_heads: int


def read_decoder(model: PreTrainedModel, dtype: torch.dtype) -> Decoder | None:
    """Lay out a model's decoder; None if it is not of the kind, or not made of plain layers.

    Args:
        model: whose weights are to be used as they are now.
        dtype: of matrix products.
    """
    if not isinstance(model, MarianMTModel | BartForConditionalGeneration):
        return None
    decoder: Any = model.get_decoder()
    modules = [
        module
        for layer in decoder.layers
        for each in (layer.self_attn, layer.encoder_attn)
        for module in (each.q_proj, each.k_proj, each.v_proj, each.out_proj)
    ] + [module for layer in decoder.layers for module in (layer.fc1, layer.fc2)]
    if any(type(module) is not nn.Linear for module in [*modules, model.lm_head]):
        return None  # such as a layer with an adapter in it

    def linear(*parts: Any) -> Linear:
        weights, biases = zip(*((part.weight, part.bias) for part in parts), strict=True)
        return Linear(weight=_joined(weights).to(dtype), bias=_joined(biases).to(dtype))

    embedding_norm = getattr(decoder, "layernorm_embedding", None)
    scale = getattr(decoder.embed_tokens, "embed_scale", getattr(decoder, "embed_scale", 1.0))
    offset = getattr(decoder.embed_positions, "offset", 0)
    return Decoder(
        embedding=decoder.embed_tokens.weight,
        still_id=decoder.embed_tokens.padding_idx,
        scale=scale,
        positions=decoder.embed_positions.weight[offset:],
        embedding_norm=None if embedding_norm is None else _norm(embedding_norm),
        layers=tuple(
            Layer(
                joint=linear(
                    layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj
                ),
                joint_out=linear(layer.self_attn.out_proj),
                joint_norm=_norm(layer.self_attn_layer_norm),
                query=linear(layer.encoder_attn.q_proj),
                source=linear(layer.encoder_attn.k_proj, layer.encoder_attn.v_proj),
                source_out=linear(layer.encoder_attn.out_proj),
                source_norm=_norm(layer.encoder_attn_layer_norm),
                inner=linear(layer.fc1),
                outer=linear(layer.fc2),
                norm=_norm(layer.final_layer_norm),
                activation=layer.activation_fn,
            )
            for layer in decoder.layers
        ),
        head=Linear(weight=model.lm_head.weight.to(dtype), bias=_head_bias(model).to(dtype)),
        num_heads=decoder.layers[0].self_attn.num_heads,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Put parts behind each other; one alone is taken as it is, not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _head_bias(model: Any) -> Tensor:
    bias: Tensor = model.final_logits_bias[0]
    return bias if model.lm_head.bias is None else bias + model.lm_head.bias


def _norm(module: nn.LayerNorm) -> Norm:
    return Norm(weight=module.weight, bias=module.bias, epsilon=module.eps)


class Stepper(Writing):
    """R candidates in the making, of B sources; those of one source are neighbours.

    Args:
        decoder: who writes.
        encoded: [B, S, d] the encoder's states.
        mask: [B, S] bool, True for the tokens of a source.
        num_candidates: K of each source at first, R = B * K.
        start_id: the token before the first.
    """

    def __init__(
        self, decoder: Decoder, encoded: Tensor, mask: Tensor, num_candidates: int, start_id: int
    ) -> None:
        self._decoder = decoder
        self._length = 0
        rows, heads = len(encoded) * num_candidates, decoder.num_heads
        self._shape = (heads, encoded.shape[2] // heads)
        self._places = Places(len(encoded), num_candidates, encoded.device)
        like = encoded.new_empty(0, dtype=decoder.head.weight.dtype)
        self._hidden = like.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None]
        self._source = [self._source_keys(layer, encoded) for layer in decoder.layers]
        self._caches = [new_cache(rows, *self._shape, like) for _ in decoder.layers]
        self.advance(torch.full((rows,), start_id, device=encoded.device))

    def advance(self, last: Tensor) -> None:
        """Take the tokens that were chosen, [R], and compute the logits of the next."""
        decoder = self._decoder
        self._caches = [cache.grown() for cache in self._caches]
        hidden = decoder.embedding[last] * decoder.scale + decoder.positions[self._length]
        if decoder.embedding_norm is not None:
            hidden = decoder.embedding_norm(hidden)
        for layer, cache, source in zip(decoder.layers, self._caches, self._source, strict=True):
            hidden = layer.joint_norm(hidden + self._attend_joint(layer, cache, hidden))
            hidden = layer.source_norm(hidden + self._attend_source(layer, source, hidden))
            inner = layer.activation(layer.inner(hidden))
            hidden = layer.norm(hidden + layer.outer(inner))
        self._length += 1
        self.logits = decoder.head(hidden).float()

    def select(self, rows: Tensor) -> None:
        """Keep the candidates of these indices, in ascending order."""
        self.logits = self.logits[rows]
        for cache in self._caches:
            cache.select(rows)
        kept = self._places.select(rows)
        if kept is not None:
            self._hidden = self._hidden[kept]
            self._source = [(keys[kept], values[kept]) for keys, values in self._source]

    def _source_keys(self, layer: Layer, encoded: Tensor) -> tuple[Tensor, Tensor]:
        size, length, _ = encoded.shape
        both = layer.source(encoded).view(size, length, 2, *self._shape)
        keys, values = both.permute(2, 0, 3, 1, 4)
        return keys.transpose(2, 3).contiguous(), values.contiguous()

    def _attend_joint(self, layer: Layer, cache: AttentionCache, hidden: Tensor) -> Tensor:
        newest = layer.joint(hidden).view(len(hidden), 3, *self._shape)
        return layer.joint_out(cache.attend(newest))

    def _attend_source(self, layer: Layer, source: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        queries = self._places.spread(layer.query(hidden))
        heads = queries.view(*queries.shape[:2], *self._shape)
        found = attend_source(heads, *source, self._hidden)
        return layer.source_out(self._places.gather(found))


class Places:
    """Where each of R candidates stands among those of its source, [B, K] with gaps."""

    def __init__(self, size: int, num_candidates: int, device: torch.device) -> None:
        self._shape = (size, num_candidates)
        self._slots: Tensor = torch.arange(size * num_candidates, device=device)
        self._has_gaps = False

    def spread(self, rows: Tensor) -> Tensor:
        """Lay [R, d] out as [B, K, d]; what stands in gaps is of no interest."""
        if not self._has_gaps:
            return rows.view(*self._shape, -1)
        size, num_slots = self._shape
        laid_out = rows.new_zeros(size * num_slots, rows.shape[1])
        laid_out[self._slots] = rows
        return laid_out.view(size, num_slots, -1)

    def gather(self, laid_out: Tensor) -> Tensor:
        """Take [R, d] from [B, K, d]."""
        rows = laid_out.reshape(-1, laid_out.shape[-1])
        return rows[self._slots] if self._has_gaps else rows

    def select(self, rows: Tensor) -> Tensor | None:
        """Keep some candidates; gives the sources that are left, None if all are."""
        sources = self._slots[rows] // self._shape[1]
        kept, place, counts = torch.unique_consecutive(
            sources, return_inverse=True, return_counts=True
        )
        num_slots = int(counts.max())
        starts = counts.cumsum(0) - counts
        within = torch.arange(len(rows), device=rows.device) - starts[place]
        all_left = len(kept) == self._shape[0]
        self._shape = (len(kept), num_slots)
        self._slots = place * num_slots + within
        self._has_gaps = len(rows) < len(kept) * num_slots
        return None if all_left else kept
