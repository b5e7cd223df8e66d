"""Decoders of Marian's and BART's kind, read from transformers' modules."""

from typing import Any

import torch
from transformers import BartForConditionalGeneration, MarianMTModel, PreTrainedModel

from goa.policies.output_head import read_head
from goa.policies.source_decoder import Decoder, Layer
from goa.policies.weights import FeedForward, are_plain, read_linear, read_norm


def read_bart(model: PreTrainedModel, dtype: torch.dtype) -> Decoder | None:
    """Lay out a model's decoder; None if it is not of the kind, or not made of plain layers."""
    if not isinstance(model, MarianMTModel | BartForConditionalGeneration):
        return None
    decoder: Any = model.get_decoder()
    linears = [module for layer in decoder.layers for module in _linears(layer)]
    head = read_head(model, dtype)
    if head is None or not are_plain(decoder.embed_tokens, linears):
        return None
    embedding_norm = getattr(decoder, "layernorm_embedding", None)
    scale = getattr(decoder.embed_tokens, "embed_scale", getattr(decoder, "embed_scale", 1.0))
    offset = getattr(decoder.embed_positions, "offset", 0)
    # Marian's are sines, and stay so, though a model that was loaded has them among its parameters.
    positions = decoder.embed_positions.weight[offset:]
    attention = decoder.layers[0].self_attn
    return Decoder(
        embedding=decoder.embed_tokens.weight,
        still_id=decoder.embed_tokens.padding_idx,
        scale=scale,
        positions=positions.detach() if isinstance(model, MarianMTModel) else positions,
        distances=None,
        embedding_norm=None if embedding_norm is None else read_norm(embedding_norm),
        layers=tuple(_read_layer(layer, dtype) for layer in decoder.layers),
        norms_first=False,
        last_norm=None,
        state_scale=head.scale,
        head=head.product,
        num_heads=attention.num_heads,
        head_width=attention.head_dim,
        score_scale=attention.head_dim**-0.5,
    )


def _linears(layer: Any) -> list[Any]:
    return [
        module
        for each in (layer.self_attn, layer.encoder_attn)
        for module in (each.q_proj, each.k_proj, each.v_proj, each.out_proj)
    ] + [layer.fc1, layer.fc2]


def _read_layer(layer: Any, dtype: torch.dtype) -> Layer:
    own, source = layer.self_attn, layer.encoder_attn
    return Layer(
        joint=read_linear(dtype, own.q_proj, own.k_proj, own.v_proj),
        joint_out=read_linear(dtype, own.out_proj),
        joint_norm=read_norm(layer.self_attn_layer_norm),
        query=read_linear(dtype, source.q_proj),
        source=read_linear(dtype, source.k_proj, source.v_proj),
        source_out=read_linear(dtype, source.out_proj),
        source_norm=read_norm(layer.encoder_attn_layer_norm),
        feed=FeedForward(
            inner=read_linear(dtype, layer.fc1),
            outer=read_linear(dtype, layer.fc2),
            activation=layer.activation_fn,
            gated=False,
        ),
        norm=read_norm(layer.final_layer_norm),
    )
