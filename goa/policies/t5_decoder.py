"""Decoders of T5's kind, read from transformers' modules."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, T5ForConditionalGeneration

from goa.policies.output_head import read_head
from goa.policies.source_decoder import Decoder, Layer
from goa.policies.weights import (
    FeedForward,
    are_plain,
    read_linear,
    read_root_norm,
)


def read_t5(model: PreTrainedModel, dtype: torch.dtype) -> Decoder | None:
    """Lay out a model's decoder; None if it is not of the kind, or not made of plain layers.

    In float16 transformers cuts off what overflows, which is left to it.
    """
    if not isinstance(model, T5ForConditionalGeneration) or dtype == torch.float16:
        return None
    decoder: Any = model.get_decoder()
    linears = [module for block in decoder.block for module in _linears(block)]
    head = read_head(model, dtype)
    if head is None or not are_plain(decoder.embed_tokens, linears):
        return None
    attention = decoder.block[0].layer[0].SelfAttention
    # transformers keeps the outer matrix in float32 where the others are narrower.
    outer_dtype = None if dtype == model.dtype else dtype
    return Decoder(
        embedding=decoder.embed_tokens.weight,
        still_id=decoder.embed_tokens.padding_idx,
        scale=1.0,
        positions=None,
        distances=_read_distances(attention),
        embedding_norm=None,
        layers=tuple(_read_layer(block, dtype, outer_dtype) for block in decoder.block),
        norms_first=True,
        last_norm=read_root_norm(decoder.final_layer_norm),
        state_scale=head.scale,
        head=head.product,
        num_heads=attention.n_heads,
        head_width=attention.key_value_proj_dim,
        score_scale=1.0,
    )


def _inner(feed: Any) -> list[Any]:
    return [feed.wi_0, feed.wi_1] if hasattr(feed, "wi_0") else [feed.wi]


def _linears(block: Any) -> list[Any]:
    own, source = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
    feed = block.layer[2].DenseReluDense
    attentions = [module for each in (own, source) for module in (each.q, each.k, each.v, each.o)]
    return [*attentions, *_inner(feed), feed.wo]


def _read_layer(block: Any, dtype: torch.dtype, outer_dtype: torch.dtype | None) -> Layer:
    own, source = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
    feed = block.layer[2].DenseReluDense
    inner = _inner(feed)
    return Layer(
        joint=read_linear(dtype, own.q, own.k, own.v),
        joint_out=read_linear(dtype, own.o),
        joint_norm=read_root_norm(block.layer[0].layer_norm),
        query=read_linear(dtype, source.q),
        source=read_linear(dtype, source.k, source.v),
        source_out=read_linear(dtype, source.o),
        source_norm=read_root_norm(block.layer[1].layer_norm),
        feed=FeedForward(
            inner=read_linear(dtype, *inner),
            outer=read_linear(outer_dtype or feed.wo.weight.dtype, feed.wo),
            activation=feed.act,
            gated=len(inner) == 2,
        ),
        norm=read_root_norm(block.layer[2].layer_norm),
    )


def _read_distances(attention: Any) -> Tensor:
    """Give what a token's distance, 0 to the one from which all are alike, adds to scores."""
    farthest = attention.relative_attention_max_distance
    biases: Tensor = attention.compute_bias(1, farthest + 1, past_seen_tokens=farthest)
    return biases[0, :, 0].flip(1).T.contiguous()
