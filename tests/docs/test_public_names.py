"""The names that may be imported from outside: docs/reference/python.md, and that they stay."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from goa.objectives.table import OBJECTIVES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^\.\. auto(?:class|function|exception):: (\S+)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert found.__module__ == module
    assert inspect.getdoc(found)


def test_no_public_name_has_gone() -> None:
    assert len(set(NAMES)) == len(NAMES)
    modules = sorted({name.rpartition(".")[0] for name in NAMES})
    assert modules == [
        "goa.config",
        "goa.decoding.generation",
        "goa.errors",
        "goa.evaluation.bootstrap",
        "goa.evaluators.contract",
        "goa.evaluators.table",
        "goa.objectives.best_of_n",
        "goa.objectives.contract",
        "goa.objectives.divergence",
        "goa.objectives.dpo",
        "goa.objectives.entropy",
        "goa.objectives.grpo",
        "goa.objectives.likelihood",
        "goa.objectives.margin",
        "goa.objectives.mixer",
        "goa.objectives.mrt",
        "goa.objectives.ppo",
        "goa.objectives.raml",
        "goa.objectives.reinforce",
        "goa.objectives.table",
        "goa.policies.policy",
        "goa.policies.storage",
        "goa.records",
        "goa.settings",
        "goa.trainer.evolution",
    ]


def test_every_error_and_every_objective_is_public() -> None:
    errors = importlib.import_module("goa.errors")
    raised = [name for name, kind in vars(errors).items() if inspect.isclass(kind)]
    objectives = [f"{kind.__module__}.{kind.__name__}" for kind in OBJECTIVES.values()]  # type: ignore[attr-defined]
    assert {f"goa.errors.{name}" for name in raised} | set(objectives) <= set(NAMES)


def test_what_pages_tell_people_to_import_is_public() -> None:
    for page in (DOCS / "own-evaluator.md", DOCS.parent / "README.md"):
        text = page.read_text(encoding="utf-8")
        for module, names in re.findall(r"^from (goa\.\S+) import (.+)$", text, re.MULTILINE):
            assert {f"{module}.{name}" for name in names.split(", ")} <= set(NAMES)
