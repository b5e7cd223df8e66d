"""How a saved policy is loaded and asked, by plain transformers and by goa: lines to be copied."""

import json
from pathlib import Path

from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PLACE, PromptSettings
from goa.policies.storage import generation_config

SOURCE = "a text like those it was trained on"


def with_transformers(policy: Policy, folder: Path, base: Path) -> str:
    """Write a program that has a policy write greedily, with the settings saved beside it.

    Args:
        policy: as it is saved.
        folder: where that is, seen from where the program is run.
        base: the policy that an adapter needs, if the policy is one.
    """
    auto = "AutoModelForCausalLM" if isinstance(policy, DecoderOnly) else "AutoModelForSeq2SeqLM"
    whole = policy.adapter is None
    lines = [
        *([] if whole else ["from peft import PeftModel"]),
        f"from transformers import {auto}, AutoTokenizer",
        "",
        f"folder = {_quoted(folder.as_posix())}",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        *_model(auto, None if whole else base),
        f"source = {_quoted(SOURCE)}",
        *(_ask(policy.prompt) if isinstance(policy, DecoderOnly) else _ASK),
    ]
    return "\n".join(lines)


def with_goa(policy: Policy, name: str) -> str:
    """Write a command line that has a policy write the same, a line for each source."""
    limit = generation_config(policy).max_length
    # The limit of transformers counts the token that a decoder starts with, or the prompt.
    strategy = f"{{kind: greedy, max_tokens: {limit - 1}}}"
    return f"goa generate --policy {name} --strategy '{strategy}' < sources.txt > texts.txt"


def _model(auto: str, base: Path | None) -> list[str]:
    if base is None:
        return [f"model = {auto}.from_pretrained(folder)"]
    return [
        f"model = {auto}.from_pretrained({_quoted(base.as_posix())})",
        "model = PeftModel.from_pretrained(model, folder)",
    ]


_ASK = [
    'read = tokenizer([source], return_tensors="pt")',
    "written = model.generate(input_ids=read.input_ids, attention_mask=read.attention_mask)",
    "print(tokenizer.decode(written[0], skip_special_tokens=True).strip())",
]


def _ask(prompt: PromptSettings) -> list[str]:
    """Fill a prompt, and read what comes after it."""
    filled = f"{_quoted(prompt.template)}.replace({_quoted(PLACE)}, source)"
    special = "" if not prompt.chat else ", add_special_tokens=False"
    return [
        f"prompt = {filled}",
        *(_chat(prompt.system) if prompt.chat else []),
        f'read = tokenizer([prompt], return_tensors="pt"{special})',
        _ASK[1],
        "answer = written[0, read.input_ids.shape[1] :]",
        "print(tokenizer.decode(answer, skip_special_tokens=True).strip())",
    ]


def _chat(system: str | None) -> list[str]:
    first = "" if system is None else f'{{"role": "system", "content": {_quoted(system)}}}, '
    return [
        f'messages = [{first}{{"role": "user", "content": prompt}}]',
        "prompt = tokenizer.apply_chat_template(",
        "    messages, tokenize=False, add_generation_prompt=True",
        ")",
    ]


def _quoted(text: str) -> str:
    # A string of JSON is one of Python.
    return json.dumps(text, ensure_ascii=False)
