"""What a comparison follows from, for its report: settings, seeds, versions, digests."""

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from goa.report.recipe import Recipe
from goa.settings import read_yaml

SECTIONS = (
    "seed",
    "seeds",
    "compute",
    "data",
    "policy",
    "pretrain",
    "generate",
    "scoring",
    "evaluators",
    "controls",
    "finetune",
    "evaluate",
    "compare",
)
"""Of params.yaml: all that a stage reads. dvc.yaml has the stage depend on the same ones, so that
the page never shows others than those it was made with."""
PACKAGES = ("goa", "torch", "transformers", "tokenizers", "sacrebleu", "rouge-score", "numpy")
"""What numbers depend on most."""
OUTPUTS = "out/"
"""Where what stages read from one another lies."""
COMMANDS = {
    "everything that is stale": "dvc repro",
    "the same, side by side": "goa run",
    "what would run, and why": "goa status",
    "this comparison alone": "dvc repro --single-item compare",
    "this page": "goa report --open",
}


def make_recipe(params: Path, made_of: Mapping[str, str]) -> Recipe:
    """Say how to get the numbers of a comparison again.

    Args:
        params: the file of parameters.
        made_of: what the stage follows from, by name: paths of files and folders have digests.
    """
    content = read_yaml(params)
    settings = {name: content[name] for name in SECTIONS if name in content}
    return Recipe(
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
        seeds=_seeds(settings),
        versions=dict(_versions()),
        digests={name: text for name, text in made_of.items() if name.startswith(OUTPUTS)},
        commands=COMMANDS,
    )


def _seeds(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        "data, pretraining, pool, evaluation, resamples": str(settings["seed"]),
        "fine-tuning": ", ".join(map(str, settings["seeds"])),
    }


def _versions() -> Iterator[tuple[str, str]]:
    """List the versions of the environment that compares; run from its sources, goa has none."""
    yield "python", platform.python_version()
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
