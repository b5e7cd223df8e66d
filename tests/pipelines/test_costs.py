"""What the stages cost that lead to a comparison."""

from pathlib import Path

import pytest
import yaml

from goa.arms import Arm, TrainedPolicy
from goa.errors import DataError
from goa.evaluation.controls import ControlSettings
from goa.tracking.cost import Work, save_cost
from pipelines.costs import read_costs, seconds_a_sentence, stages_to
from tests.costs import make_cost

STAGES = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]
TRAINED = [
    TrainedPolicy(arm=Arm(evaluator="bleu"), seed=17),
    TrainedPolicy(arm=Arm(evaluator="bleu", control="constant"), seed=17),
]


def test_the_stages_of_all_policies_are_named_in_running_order() -> None:
    assert stages_to(["bleu", "rule"], TRAINED) == [
        "prepare",
        "pretrain",
        "generate",
        "score@bleu",
        "score@rule",
        "finetune@bleu-17",
        "control@bleu-constant-17",
        "evaluate_mle",
        "evaluate@bleu-17",
        "evaluate_control@bleu-constant-17",
    ]


def test_no_group_of_stages_is_left_out() -> None:
    controls = ControlSettings(evaluators=["bleu"], arms=["constant"])
    stages = stages_to(["bleu"], controls.trained(["bleu"], [1]))
    assert {stage.partition("@")[0] for stage in stages} == set(STAGES) - {"compare"}


def test_costs_come_in_the_order_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out/costs").mkdir(parents=True)
    for stage in ("score@a", "prepare"):
        save_cost(Path("out/costs") / f"{stage}.json", make_cost(stage))
    assert [cost.stage for cost in read_costs(["prepare", "score@a"])] == ["prepare", "score@a"]
    with pytest.raises(DataError, match=r"out/costs/pretrain\.json"):
        read_costs(["pretrain"])


def test_a_sentence_takes_the_time_of_its_decoding_alone() -> None:
    costs = [
        make_cost("finetune@bleu-17", work={"training": Work(seconds=9.0, sentences=9, tokens=9)}),
        make_cost(
            "evaluate_mle",
            work={
                "greedy": Work(seconds=2.0, sentences=100, tokens=9),
                "beam": Work(seconds=5.0, sentences=100, tokens=9),
            },
        ),
        make_cost("evaluate@bleu-17", work={"greedy": Work(seconds=3.0, sentences=100, tokens=9)}),
        make_cost(
            "evaluate_control@bleu-constant-17",
            work={
                "greedy": Work(seconds=4.0, sentences=100, tokens=9),
                "beam": Work(seconds=0.0, sentences=0, tokens=0),
            },
        ),
        make_cost("evaluate@other-1", work={"greedy": Work(seconds=3.0, sentences=100, tokens=9)}),
    ]
    assert seconds_a_sentence(costs, ["mle", *(policy.name for policy in TRAINED)]) == {
        ("mle", "greedy"): 0.02,
        ("mle", "beam"): 0.05,
        ("bleu-17", "greedy"): 0.03,
        ("bleu-constant-17", "greedy"): 0.04,
    }
