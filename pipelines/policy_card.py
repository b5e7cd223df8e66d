"""The model card of a policy: ``README.md`` in its folder, in Hugging Face's form.

All of it follows from what the stage follows from: no times, no paths of the machine.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from goa.policies.policy import Policy
from pipelines import card_sections as sections
from pipelines.origin import Origin

CARD = "README.md"
DATA = Path("out/data")
PRETRAINING = "Pretraining"


def write_card(folder: Path, policy: Policy, origin: Origin) -> None:
    """Write the card of a policy that was saved in a folder, over any that is there."""
    text = make_card(policy, origin, _read_json(DATA / "report.json"), _read(sections.BASE / CARD))
    (folder / CARD).write_text(text, encoding="utf-8")


def make_card(policy: Policy, origin: Origin, data: Mapping[str, Any], base: str) -> str:
    """Make the text of a card.

    Args:
        policy: as it is saved.
        origin: what it was made by.
        data: the report on the prepared data.
        base: the card of the policy that fine-tuning began with; empty where there is none.
    """
    titled = {
        "Intended use": sections.intended_use(data),
        "Data": sections.data(data, origin),
        **_training(origin, base),
        "Load it and generate": sections.loading(policy, origin),
        "Evaluation": sections.evaluation(origin),
        "Limits": sections.limits(policy, origin),
    }
    metadata = _metadata(policy, origin, data, base)
    header = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    body = "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in titled.items())
    return f"---\n{header}---\n\n# {origin.name}\n\n{sections.summary(policy, origin)}\n{body}"


def _metadata(policy: Policy, origin: Origin, data: Mapping[str, Any], base: str) -> dict[str, Any]:
    corpus = data.get("corpus", {})
    source = origin.hub_name if origin.trained is None else _header(base).get("base_model")
    found = {
        "language": corpus.get("languages"),
        "library_name": "transformers" if policy.adapter is None else "peft",
        "pipeline_tag": "text-generation",
        "base_model": source,
        "datasets": [corpus["name"]] if "name" in corpus else None,
        "tags": ["goa", policy.model.config.model_type, *_methods(origin)],
    }
    return {name: value for name, value in found.items() if value}


def _methods(origin: Origin) -> Iterator[str]:
    if origin.trained is None:
        yield "maximum-likelihood"
        return
    arm = origin.trained.arm
    yield from [f"evaluator:{arm.evaluator}"] + ([f"control:{arm.control}"] if arm.control else [])
    if arm.control is None:
        yield from dict.fromkeys(f"objective:{kind}" for kind in sections.objectives(origin))


def _training(origin: Origin, base: str) -> dict[str, str]:
    """Say how it was trained; what is fine-tuned tells of pretraining as the card of that does."""
    told = sections.training(origin)
    if origin.trained is None:
        return {PRETRAINING: told}
    before = _section(base, PRETRAINING) or "The pretrained policy has no card."
    return {PRETRAINING: before, "Fine-tuning": told}


def _section(card: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def _header(card: str) -> Mapping[str, Any]:
    found = re.match(r"---\n(.*?)^---\n", card, re.MULTILINE | re.DOTALL)
    return (yaml.safe_load(found[1]) if found else None) or {}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _read_json(path: Path) -> Mapping[str, Any]:
    return json.loads(_read(path) or "{}") or {}
