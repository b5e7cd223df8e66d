"""A whole file of parameters."""

import re
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 2, 1]}, "seeds: each may be named once"),
        ({"controls": {"evaluators": ["blue"], "arms": []}}, "controls.evaluators: 'blue' is none"),
        ({"controls": {"evaluators": ["bleu", "bleu"], "arms": []}}, "bleu is named twice"),
        ({"controls": {"evaluators": ["bleu"], "arms": ["random"]}}, "controls.arms.0"),
    ],
)
def test_arms_that_cannot_be_trained_are_refused(
    content: dict[str, Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        validate(Params, content | changes, "params.yaml")


def test_constant_rewards_are_refused_beside_an_objective_that_learns_from_beams(
    content: dict[str, Any],
) -> None:
    beams = {"kind": "beam", "num_candidates": 4}
    content["generate"]["strategies"]["beam"] = beams
    content["finetune"] |= {"candidates": beams, "objective": {"kind": "mrt"}}
    with pytest.raises(SettingsError, match="constant rewards are learnt by policy gradient"):
        validate(Params, content, "params.yaml")


def test_policies_are_listed_arm_by_arm_controls_last(content: dict[str, Any]) -> None:
    content |= {"seeds": [3, 4], "controls": {"evaluators": ["rule"], "arms": ["constant"]}}
    params = validate(Params, content, "params.yaml")
    trained = [each.name for each in params.controls.trained(["bleu", "rule"], params.seeds)]
    assert trained == ["bleu-3", "bleu-4", "rule-3", "rule-4", "rule-constant-3", "rule-constant-4"]


SCRATCH = {"kind": "scratch", "architecture": "llama"}
ABSURD = 10**12
SIZES = [
    *(f"policy.{size}" for size in ("vocab_size", "d_model", "num_layers", "num_heads")),
    *(f"policy.{size}" for size in ("d_ff", "max_positions")),
    "compute.tokens_at_once",
    *("pretrain.epochs", "pretrain.sources_per_update", "pretrain.optimiser.tokens_per_pass"),
    *("generate.strategies.drawn.num_candidates", "generate.strategies.drawn.max_tokens"),
    *("finetune.rounds", "finetune.sources_per_round", "finetune.optimiser.tokens_per_pass"),
    "finetune.candidates.num_candidates",
    *("evaluate.strategies.beam.num_beams", "evaluate.strategies.beam.num_candidates"),
    *("evaluate.strategies.mbr.num_candidates", "evaluate.sources_per_batch"),
]


@pytest.mark.parametrize("path", SIZES)
def test_a_size_that_no_machine_has_room_for_is_refused(content: dict[str, Any], path: str) -> None:
    content["policy"] = SCRATCH.copy()
    content["generate"]["strategies"]["drawn"] = {"kind": "sample"}
    content["evaluate"]["strategies"] |= {"beam": {"kind": "beam"}, "mbr": MBR.copy()}
    content["finetune"]["candidates"] = {"kind": "sample"}
    inner = content
    *sections, last = path.split(".")
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = ABSURD
    with pytest.raises(SettingsError) as caught:
        validate(Params, content, "params.yaml")
    (told,) = str(caught.value).splitlines()[1:]
    place, _, problem = told.strip().partition(": ")
    assert place.startswith(sections[0])
    assert place.endswith(f".{last}")
    assert re.fullmatch(rf"input should be less than or equal to \d+, found {ABSURD}", problem)


def test_the_largest_models_that_are_trained_are_taken(content: dict[str, Any]) -> None:
    sizes = {"vocab_size": 128_256, "d_model": 16_384, "num_layers": 126, "num_heads": 128}
    content["policy"] = SCRATCH | sizes | {"d_ff": 53_248, "max_positions": 131_072}
    assert validate(Params, content, "params.yaml").policy.kind == "scratch"


def test_reading_parameters_does_not_import_what_only_models_need() -> None:
    """Transformers take seconds, which whoever types `goa check` would wait for."""
    code = "import sys, goa.config; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
