"""Policies on disk: plain transformers folders."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSeq2SeqLM, GenerationConfig

from goa.errors import PolicyError, first_line
from goa.policies.build import build_model
from goa.policies.policy import Policy
from goa.policies.settings import PolicySettings, ScratchPolicySettings
from goa.policies.tokenizer import load_tokenizer


def create_policy(
    settings: PolicySettings, tokenizer_folder: Path, seed: int, device: torch.device
) -> Policy:
    """Make the policy that training starts from.

    Args:
        settings: a model from scratch, or the name of a pretrained one.
        tokenizer_folder: where ``prepare`` saved the tokenizer of either kind.
        seed: of the weights of a model from scratch.
        device: where to put it.

    Raises:
        PolicyError: a model or tokenizer cannot be loaded.
    """
    if not isinstance(settings, ScratchPolicySettings):
        return load_policy(settings.name, device, settings.revision)
    tokenizer = load_tokenizer(str(tokenizer_folder))
    model = build_model(
        settings, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, seed
    )
    policy = Policy(model.to(device).eval(), tokenizer)
    model.generation_config = generation_config(policy)
    return policy


def load_policy(name: str | Path, device: torch.device, revision: str | None = None) -> Policy:
    """Load a policy from a folder or a hub: safetensors only, no code from elsewhere.

    The generation settings that a checkpoint brings along are dropped: how goa decodes is said by
    goa's own settings alone.

    Raises:
        PolicyError: it is no encoder-decoder with safetensors weights, or has no tokenizer.
    """
    tokenizer = load_tokenizer(str(name), revision)
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(
            str(name), revision=revision, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise PolicyError(
            f"{name}: not an encoder-decoder model with safetensors weights: {first_line(error)}"
        ) from None
    start_id = model.generation_config.decoder_start_token_id
    if model.config.decoder_start_token_id is None:
        model.config.decoder_start_token_id = start_id
    policy = Policy(model.to(device).eval(), tokenizer)
    model.generation_config = generation_config(policy)
    return policy


def save_policy(policy: Policy, folder: Path) -> None:
    """Save a policy so that plain transformers load it and generate the same text.

    Raises:
        PolicyError: the disk refuses.
    """
    policy.model.generation_config = generation_config(policy)
    try:
        policy.model.save_pretrained(folder)
    except SafetensorError as error:
        raise PolicyError(f"{folder}: cannot write the weights: {first_line(error)}") from None
    policy.tokenizer.save_pretrained(folder)


def generation_config(policy: Policy) -> GenerationConfig:
    """Say greedy decoding, and the special tokens, in transformers' terms."""
    limit = policy.max_positions or policy.tokenizer.model_max_length
    return GenerationConfig(
        decoder_start_token_id=policy.start_id,
        eos_token_id=policy.end_id,
        pad_token_id=policy.pad_id,
        max_length=min(limit, 1024),
        do_sample=False,
        num_beams=1,
    )
