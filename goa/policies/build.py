"""New models with random weights, by architecture."""

from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    LlamaConfig,
    MarianConfig,
    PreTrainedConfig,
    PreTrainedModel,
    T5Config,
)

from goa.policies.settings import ScratchPolicySettings
from goa.randomness import torch_draws


def build_model(
    settings: ScratchPolicySettings, vocab_size: int, pad_id: int, end_id: int, seed: int
) -> PreTrainedModel:
    """Build a model; equal arguments give equal weights."""
    special = {
        "pad_token_id": pad_id,
        "eos_token_id": end_id,
        "decoder_start_token_id": pad_id,
        "vocab_size": vocab_size,
    }
    config = _CONFIGS[settings.architecture](settings, special)
    with torch_draws(seed, "weights"):
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        return auto.from_config(config)


def _bart_sizes(settings: ScratchPolicySettings) -> dict[str, int | float | None]:
    """Sizes as BART's family of configurations names them."""
    return {
        "d_model": settings.d_model,
        "encoder_layers": settings.num_layers,
        "decoder_layers": settings.num_layers,
        "encoder_attention_heads": settings.num_heads,
        "decoder_attention_heads": settings.num_heads,
        "encoder_ffn_dim": settings.d_ff,
        "decoder_ffn_dim": settings.d_ff,
        "dropout": settings.dropout,
        "max_position_embeddings": settings.max_positions,
        # Their default puts an end token where an output is cut at its limit.
        "forced_eos_token_id": None,
    }


def _marian(settings: ScratchPolicySettings, special: dict[str, int]) -> PreTrainedConfig:
    return MarianConfig(
        **special,
        **_bart_sizes(settings),
        decoder_vocab_size=special["vocab_size"],
        activation_function="swish",
        scale_embedding=True,
        init_std=settings.d_model**-0.5,
    )


def _bart(settings: ScratchPolicySettings, special: dict[str, int]) -> PreTrainedConfig:
    return BartConfig(**special, **_bart_sizes(settings), bos_token_id=None)


def _t5(settings: ScratchPolicySettings, special: dict[str, int]) -> PreTrainedConfig:
    return T5Config(
        **special,
        d_model=settings.d_model,
        d_kv=settings.d_model // settings.num_heads,
        d_ff=settings.d_ff,
        num_layers=settings.num_layers,
        num_decoder_layers=settings.num_layers,
        num_heads=settings.num_heads,
        dropout_rate=settings.dropout,
        feed_forward_proj="gated-gelu",
        n_positions=settings.max_positions,
    )


def _llama(settings: ScratchPolicySettings, special: dict[str, int]) -> PreTrainedConfig:
    return LlamaConfig(
        pad_token_id=special["pad_token_id"],
        bos_token_id=None,
        eos_token_id=special["eos_token_id"],
        vocab_size=special["vocab_size"],
        hidden_size=settings.d_model,
        intermediate_size=settings.d_ff,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        attention_dropout=settings.dropout,
        max_position_embeddings=settings.max_positions,
        tie_word_embeddings=True,
    )


_CONFIGS = {"marian": _marian, "bart": _bart, "t5": _t5, "llama": _llama}
