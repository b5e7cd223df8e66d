"""Decoders of Llama's kind, which read a prompt and write on, read from transformers' modules."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlamaForCausalLM,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
)

from goa.policies.output_head import read_head
from goa.policies.weights import (
    FeedForward,
    Linear,
    RootNorm,
    are_plain,
    read_linear,
    read_root_norm,
)

TURNS = ("default", "llama3")
"""Kinds of rotary embedding by which a position is turned alike in whatever text it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLayer:
    """One layer; H heads of D values each for queries, H' for keys and values."""

    norm: RootNorm
    joint: Linear
    """Queries, keys and values, (H + 2 H') * D."""
    query_norm: RootNorm | None
    key_norm: RootNorm | None
    """Of each head; there are both, or none."""
    out: Linear
    feed_norm: RootNorm
    feed: FeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Rotary position embeddings of N tokens (Su et al., 2021)."""

    cosines: Tensor
    """[N, 1, D]."""
    sines: Tensor
    """[N, 1, D], negative in the first half."""

    def __call__(self, heads: Tensor) -> Tensor:
        """Turn [N, H, D], each value with the one half of D away."""
        swapped = heads.roll(heads.shape[-1] // 2, dims=-1)
        return torch.addcmul(heads * self.cosines, swapped, self.sines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDecoder:
    """All that it takes to compute the decoder, of any tokens."""

    embedding: nn.Embedding
    layers: tuple[PromptLayer, ...]
    last_norm: RootNorm
    head: Linear
    rotary: nn.Module
    num_heads: int
    """H, of queries."""
    num_shared: int
    """H', of keys and values; each serves H / H' of queries."""
    head_width: int
    """D."""
    score_scale: float
    """Of the products of queries and keys."""
    dropout: float
    """The chance that a weight of attention is dropped; 0 but in training."""

    def turns(self, positions: Tensor, like: Tensor) -> Turns:
        """Look up how tokens at positions [N] are turned, in the precision of another tensor."""
        cosines, sines = (each.transpose(0, 1) for each in self.rotary(like, positions[None]))
        first, second = sines.chunk(2, dim=-1)
        return Turns(cosines=cosines, sines=torch.cat([-first, second], dim=-1))

    def heads(
        self, layer: PromptLayer, hidden: Tensor, turns: Turns
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make queries [N, H, D], keys and values [N, H', D] of tokens [N, d]."""
        joint = layer.joint(layer.norm(hidden)).view(len(hidden), -1, self.head_width)
        turning, values = joint[:, : -self.num_shared], joint[:, -self.num_shared :]
        if layer.query_norm is not None and layer.key_norm is not None:
            queries, keys = turning[:, : self.num_heads], turning[:, self.num_heads :]
            turning = torch.cat([layer.query_norm(queries), layer.key_norm(keys)], dim=1)
        turned = turns(turning).to(values.dtype)
        return turned[:, : self.num_heads], turned[:, self.num_heads :], values


def read_prompt_decoder(model: PreTrainedModel, dtype: torch.dtype) -> PromptDecoder | None:
    """Lay out a model; None if it is not of the kind, or not made of plain layers.

    Args:
        model: whose weights are to be used as they are now; gradients reach them.
        dtype: of matrix products.
    """
    kinds = LlamaForCausalLM | MistralForCausalLM | Qwen2ForCausalLM | Qwen3ForCausalLM
    if not isinstance(model, kinds):
        return None
    decoder: Any = model.get_decoder()
    linears = [module for layer in decoder.layers for module in _linears(layer)]
    head = read_head(model, dtype)
    if (
        head is None
        or decoder.rotary_emb.rope_type not in TURNS
        or getattr(model.config, "sliding_window", None) is not None
        or not are_plain(decoder.embed_tokens, linears)
    ):
        return None
    attention = decoder.layers[0].self_attn
    return PromptDecoder(
        embedding=decoder.embed_tokens,
        layers=tuple(_read_layer(layer, dtype) for layer in decoder.layers),
        last_norm=read_root_norm(decoder.norm),
        head=head.product,
        rotary=decoder.rotary_emb,
        num_heads=model.config.num_attention_heads,
        num_shared=model.config.num_key_value_heads,
        head_width=attention.head_dim,
        score_scale=attention.scaling,
        dropout=attention.attention_dropout if attention.training else 0.0,
    )


def _linears(layer: Any) -> list[Any]:
    own, feed = layer.self_attn, layer.mlp
    inner = (feed.gate_proj, feed.up_proj, feed.down_proj)
    return [own.q_proj, own.k_proj, own.v_proj, own.o_proj, *inner]


def _read_layer(layer: Any, dtype: torch.dtype) -> PromptLayer:
    own, feed = layer.self_attn, layer.mlp
    has_norms = hasattr(own, "q_norm")
    return PromptLayer(
        norm=read_root_norm(layer.input_layernorm),
        joint=read_linear(dtype, own.q_proj, own.k_proj, own.v_proj),
        query_norm=read_root_norm(own.q_norm) if has_norms else None,
        key_norm=read_root_norm(own.k_norm) if has_norms else None,
        out=read_linear(dtype, own.o_proj),
        feed_norm=read_root_norm(layer.post_attention_layernorm),
        feed=FeedForward(
            inner=read_linear(dtype, feed.gate_proj, feed.up_proj),
            outer=read_linear(dtype, feed.down_proj),
            activation=feed.act_fn,
            gated=True,
        ),
    )
