"""Policies on disk: plain transformers folders."""

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from goa.errors import PolicyError, first_line
from goa.policies.adapter import about_pickles, base_of, load_adapter, merge_adapter
from goa.policies.build import build_model
from goa.policies.decoder_only import DecoderOnly
from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.settings import PolicySettings, ScratchPolicySettings
from goa.policies.tokenizer import load_tokenizer

PROMPT_FILE = "prompt.json"
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RuntimeError,
    SafetensorError,
)
"""What transformers raise of files that are there, and say something else than they should."""


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
        return load_policy(settings.name, device, settings.revision, settings.prompt)
    tokenizer = load_tokenizer(str(tokenizer_folder))
    model = build_model(
        settings, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, seed
    )
    return _as_policy(model.to(device), tokenizer, PromptSettings())


def load_policy(
    name: str | Path,
    device: torch.device,
    revision: str | None = None,
    prompt: PromptSettings | None = None,
) -> Policy:
    """Load a policy from a folder or a hub: safetensors only, no code from elsewhere.

    The generation settings that a checkpoint brings along are dropped: how goa decodes is said by
    goa's own settings alone.

    Args:
        name: a folder or a name on the hub.
        device: where to put it.
        revision: the hub's commit, tag or branch.
        prompt: of a decoder-only model; None takes the one that it was saved with.

    Raises:
        PolicyError: it is no language model with safetensors weights, or has no tokenizer.
    """
    base = base_of(Path(name))
    if base is not None:
        if base_of(Path(base)) is not None:
            raise PolicyError(f"{name}: the adapter's base, {base}, is an adapter too; merge that")
        policy = load_policy(base, device, revision, prompt)
        policy.adapter = load_adapter(policy.model, Path(name))
        merge_adapter(policy)
        policy.model.eval()
        return policy
    tokenizer = load_tokenizer(str(name), revision)
    try:
        config = AutoConfig.from_pretrained(str(name), revision=revision, trust_remote_code=False)
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = auto.from_pretrained(
            str(name),
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except _DAMAGED as error:
        raise PolicyError(
            f"{name}: not a language model with safetensors weights: {first_line(error)}; restore "
            "the folder, or have its stage write it anew (`dvc checkout`, `goa run`)"
            f"{about_pickles(Path(name))}"
        ) from None
    return _as_policy(model.to(device), tokenizer, prompt or _saved_prompt(Path(name)))


def save_policy(policy: Policy, folder: Path) -> None:
    """Save a policy so that plain transformers load it and generate the same text.

    A decoder-only policy's prompt lies beside it, in ``prompt.json``. Of a policy with an adapter
    only the adapter is saved: it needs the policy that it was made from, where that was.

    Raises:
        PolicyError: the disk refuses.
    """
    policy.model.generation_config = generation_config(policy)
    try:
        (policy.adapter or policy.model).save_pretrained(folder)
    except SafetensorError as error:
        raise PolicyError(f"{folder}: cannot write the weights: {first_line(error)}") from None
    policy.tokenizer.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        # safetensors lets nobody but the owner read; whoever may read the rest may read this.
        path.chmod((folder / "tokenizer_config.json").stat().st_mode)
    if isinstance(policy, DecoderOnly):
        text = policy.prompt.model_dump_json(indent=2) + "\n"
        (folder / PROMPT_FILE).write_text(text, encoding="utf-8")


def generation_config(policy: Policy) -> GenerationConfig:
    """Say greedy decoding, and the special tokens, in transformers' terms."""
    limit = policy.max_positions or policy.tokenizer.model_max_length
    return GenerationConfig(
        **policy.special_tokens(), max_length=min(limit, 1024), do_sample=False, num_beams=1
    )


def _as_policy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: PromptSettings
) -> Policy:
    """Make a policy of a model, in evaluation mode."""
    model.eval()
    policy: Policy
    if model.config.is_encoder_decoder:
        if model.config.decoder_start_token_id is None:
            start_id = model.generation_config.decoder_start_token_id
            model.config.decoder_start_token_id = start_id
        policy = EncoderDecoder(model, tokenizer)
    else:
        policy = DecoderOnly(model, tokenizer, prompt)
    model.generation_config = generation_config(policy)
    return policy


def _saved_prompt(folder: Path) -> PromptSettings:
    try:
        return PromptSettings.model_validate_json((folder / PROMPT_FILE).read_bytes())
    except FileNotFoundError:
        return PromptSettings()
    except (ValidationError, OSError) as error:
        raise PolicyError(f"{folder / PROMPT_FILE}: not a prompt: {first_line(error)}") from None
