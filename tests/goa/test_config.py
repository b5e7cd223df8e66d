"""A whole file of parameters."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.config import Params
from goa.errors import SettingsError
from goa.settings import validate

PROJECT = Path(__file__).parents[2]
BEST = {"kind": "best_of", "evaluator": "bleu"}
MBR = {"kind": "mbr", "evaluator": "chrf"}


@pytest.fixture
def content() -> dict[str, Any]:
    """Give what the project's params.yaml says."""
    found: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    return found


def test_a_strategy_may_choose_by_a_metric_or_an_evaluator(content: dict[str, Any]) -> None:
    content["evaluators"]["energy"] = {"kind": "energy"}
    content["evaluate"]["strategies"] |= {"mbr": MBR, "best": {**BEST, "evaluator": "energy"}}
    found = validate(Params, content, "params.yaml").evaluate.strategies
    assert [found[name].kind for name in ("mbr", "best")] == ["mbr", "best_of"]


def test_a_strategy_that_would_choose_by_the_references_is_refused(content: dict[str, Any]) -> None:
    content["evaluate"]["strategies"]["best"] = BEST
    wanted = r"evaluate\.strategies\.best\.evaluator: 'bleu' reads references"
    with pytest.raises(SettingsError, match=wanted):
        validate(Params, content, "params.yaml")


@pytest.mark.parametrize("strategy", [BEST, MBR], ids=["best_of", "mbr"])
def test_what_is_chosen_cannot_be_learnt_from(
    content: dict[str, Any], strategy: dict[str, str]
) -> None:
    content["generate"]["strategies"]["chosen"] = strategy
    content["finetune"]["candidates"] = strategy
    with pytest.raises(SettingsError) as caught:
        validate(Params, content, "params.yaml")
    kind = strategy["kind"]
    told = str(caught.value)
    known = "greedy, beam, diverse_beam, stochastic_beam, sample"
    assert f"generate.strategies.chosen.kind: '{kind}' is none of {known}" in told
    assert f"finetune.candidates.kind: '{kind}' is none of" in told
