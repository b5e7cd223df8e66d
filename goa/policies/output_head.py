"""A model's last layer, from a decoder's states to logits, where it is known to be no more."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BartForConditionalGeneration,
    LlamaForCausalLM,
    MarianMTModel,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
    T5ForConditionalGeneration,
)

from goa.policies.weights import Linear

KINDS = (
    BartForConditionalGeneration,
    LlamaForCausalLM,
    MarianMTModel,
    MistralForCausalLM,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
    T5ForConditionalGeneration,
)
"""Models whose logits are a matrix product, and a bias at most, of their decoder's last states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What turns a state into logits."""

    weight: Tensor
    """[V, d]."""
    bias: Tensor | None
    """[V]."""
    scale: float
    """Of the states."""
    dtype: torch.dtype
    """Of the matrix product."""

    @property
    def product(self) -> Linear:
        """The matrix product alone, in its precision."""
        bias = None if self.bias is None else self.bias.to(self.dtype)
        return Linear(weight=self.weight.to(self.dtype), bias=bias)


def read_head(model: PreTrainedModel, dtype: torch.dtype) -> Head | None:
    """Read a model's last layer as it is now; None where it may be more than a matrix product."""
    head: Any = model.get_output_embeddings()
    if not isinstance(model, KINDS) or type(head) is not nn.Linear:
        return None
    bias = head.bias
    added = getattr(model, "final_logits_bias", None)
    if added is not None:
        bias = added[0] if bias is None else bias + added[0]
    scaled = getattr(model.config, "scale_decoder_outputs", False)
    scale = model.config.d_model**-0.5 if scaled else 1.0
    return Head(weight=head.weight, bias=bias, scale=scale, dtype=dtype)
