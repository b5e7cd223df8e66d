"""Tiny models of Llama's kind, with random weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SHARED = {"num_attention_heads": 4, "num_key_value_heads": 2}
Kind = tuple[type[PreTrainedConfig], dict[str, Any]]
KINDS: dict[str, Kind] = {
    "llama": (LlamaConfig, {"tie_word_embeddings": True}),
    "shared keys": (LlamaConfig, {**SHARED, "head_dim": 6}),
    "biases": (LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "slow turns": (LlamaConfig, {"rope_parameters": LLAMA3}),
    "mistral": (MistralConfig, {**SHARED, "sliding_window": None}),
    "qwen2": (Qwen2Config, SHARED),
    "head norms": (Qwen3Config, {**SHARED, "head_dim": 6}),
}
"""What sets a kind apart."""
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def decoder_only(make_policy: Callable[..., Policy], kind: Kind) -> DecoderOnly:
    """Make a policy of two narrow layers, whose biases and norms are random, too."""
    tokenizer = make_policy("llama").tokenizer
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    make_config, changes = kind
    config = make_config(**{**SIZES, **special, "vocab_size": len(tokenizer), **changes})
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            nn.init.normal_(weight, mean=1.0 if "norm" in name else 0.0, std=0.2)
    return DecoderOnly(model, tokenizer, PromptSettings(template="say {source} :"))
