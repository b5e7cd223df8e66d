"""Stage finetune with what the demo's parameters do without: adapters, an evaluator that learns."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from goa.arms import parse_policy
from goa.data.corpus import open_split, split_path
from goa.errors import EvaluatorError
from goa.policies.storage import load_policy
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool
from pipelines.finetune import finetune
from pipelines.score import score_pool
from pipelines.stage import Stage
from tests.conftest import write_corpus

CPU = torch.device("cpu")
LEARNING = {"kind": "discriminator", "embedding": 4, "channels": 4, "buckets": 32, "epochs": 1}
TRAINING: dict[str, Any] = {
    "compute": {"device": "cpu"},
    "pretrain": {"epochs": 1, "optimiser": {"learning_rate": 0.001}},
    "finetune": {
        "rounds": 2,
        "sources_per_round": 8,
        "candidates": {"kind": "sample", "num_candidates": 8, "max_tokens": 6},
        "objective": {"kind": "reinforce", "baseline": "leave_one_out"},
        "optimiser": {"learning_rate": 0.05},
        "validation": {"every": 1, "num_sources": 4},
        "guards": {},
    },
}


def open_stage(name: str) -> Stage:
    spool = Spool(Path(f".goa/spool/{name}/x.jsonl"))
    return Stage(name=name, made_of={}, spool=spool, progress=Progress(spool, quiet=True))


@pytest.fixture
def project(generated: Path) -> Path:
    """Stand where the pool has been scored by whether a text speaks of a bird."""
    write_corpus(split_path(Path("out/data"), "validation"), open_split(Path("out/data"), "train"))
    params = yaml.safe_load(Path("params.yaml").read_text()) | TRAINING
    params["evaluators"] = {"bird": {"kind": "format", "contains": ["bird"]}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    score_pool(open_stage("score@bird"), "bird")
    return generated


def change(section: str, **settings: Any) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params[section] |= settings
    Path("params.yaml").write_text(yaml.safe_dump(params))


def measured(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(Path(f"metrics/finetune/{name}.json").read_text())
    return found


def train(name: str) -> None:
    finetune(open_stage(f"finetune@{name}"), parse_policy(name))


@pytest.fixture
def learning(project: Path) -> None:
    """Add an evaluator that learns on in every round."""
    change("evaluators", learning=LEARNING | {"refit_every": 1})
    score_pool(open_stage("score@learning"), "learning")


@pytest.mark.parametrize(
    ("save", "file"), [("merged", "model.safetensors"), ("alone", "adapter_model.safetensors")]
)
def test_an_adapter_is_trained_and_saved_as_asked_for(project: Path, save: str, file: str) -> None:
    change("finetune", rounds=6, adapter={"rank": 2, "save": save})
    train("bird-17")
    folder = Path("out/policies/bird-17")
    assert [path.name for path in folder.glob("*.safetensors")] == [file]
    assert measured("bird-17")["validation_reward"] > 0.5
    before, after = (load_policy(each, CPU) for each in (Path("out/policies/mle"), folder))
    weights = [dict(policy.model.named_parameters()) for policy in (before, after)]
    assert any(not torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


@pytest.mark.usefixtures("learning")
def test_an_evaluator_that_learns_on_has_learnt_before() -> None:
    assert list(Path("out/evaluators/learning").glob("*.safetensors"))
    train("learning-17")
    assert measured("learning-17")["updates"] == 2


@pytest.mark.usefixtures("learning")
def test_a_policy_is_judged_by_what_was_learnt_before_and_not_by_what_learns_on() -> None:
    change("finetune", optimiser={"learning_rate": 1e-12})
    train("learning-17")
    with Path("out/history/learning-17.csv").open(newline="") as file:
        found = [row["validation_reward"] for row in csv.DictReader(file)]
    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.mark.usefixtures("learning")
def test_in_a_team_an_evaluator_does_not_learn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.finetune.join_team", lambda *_: SimpleNamespace(size=2))
    with pytest.raises(EvaluatorError, match="learning: learns in one process alone; set compute"):
        train("learning-17")


def test_it_says_where_it_goes_on_and_which_checkpoint_is_damaged(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train("bird-17")
    train("bird-17")
    assert "going on from the checkpoint of update 2\n" in capfd.readouterr().err
    last = max(Path(".goa/checkpoints").rglob("tensors.safetensors"), default=None)
    assert last is not None
    last.write_bytes(b"nothing")
    train("bird-17")
    assert "this checkpoint is damaged, and passed over\n" in capfd.readouterr().err


def test_it_says_why_it_does_not_go_on(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for place, rate in enumerate("112"):
        stage = replace(open_stage("finetune@bird-17"), made_of={"rate": rate})
        finetune(stage, parse_policy("bird-17"))
        told = "starting afresh, since the last try was another: rate was 1, is 2\n"
        assert (told in capfd.readouterr().err) == (place == 2)
