"""Stage compare: from evaluations and histories to a report."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from goa.errors import DataError
from goa.evaluation.alarms import save_alarms
from goa.evaluation.storage import save_evaluation
from goa.evaluators.rouge import RougeSettings
from goa.report.comparison import load_comparison
from goa.tracking.cost import save_cost
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool
from pipelines.arms import evaluating_stage
from pipelines.compare import compare_policies
from pipelines.stage import Stage, cost_path
from tests.comparisons import NUM_EXAMPLES, make_alarm, make_evaluation, outputs_with
from tests.costs import make_cost

ALARM = make_alarm(policy="rule-2")
METRICS = {"rouge": RougeSettings(kind="rouge", variant="rouge1")}


def write_policy(name: str, num_right: int) -> None:
    shares = [(num_right + place % 2) / 10 for place in range(NUM_EXAMPLES)]
    evaluation = make_evaluation(name, {"greedy": outputs_with(shares)}, METRICS)
    save_evaluation(Path("out/evaluations") / name, evaluation)
    for folder in ("out/history", "out/guards"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    save_alarms(Path(f"out/guards/{name}.json"), [replace(ALARM, policy=name)] * (name == "rule-2"))
    Path(f"out/history/{name}.csv").write_text("update,reward\n1,0.2\n2,0.3\n", encoding="utf-8")
    evaluating = evaluating_stage(name)
    write_cost(evaluating)
    if name != "mle":
        write_cost(
            evaluating.replace("evaluate_control", "control").replace("evaluate", "finetune")
        )


def write_cost(stage: str) -> None:
    cost_path(stage).parent.mkdir(parents=True, exist_ok=True)
    save_cost(cost_path(stage), make_cost(stage))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Stand in a project where two evaluators' arms and a control were evaluated beside mle."""
    monkeypatch.chdir(tmp_path)
    params = {
        "seed": 7,
        "seeds": [1, 2],
        "controls": {"evaluators": ["rouge"], "arms": ["constant"]},
        "evaluators": {"rule": {"kind": "rule"}, "rouge": {"kind": "rouge"}},
        "compare": {"resamples": 100, "num_examples": 3},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name, num_right in {"rouge": 6, "rouge-constant": 4, "rule": 2}.items():
        for seed in (1, 2):
            write_policy(f"{name}-{seed}", num_right)
    write_policy("mle", 4)
    for name in ("prepare", "pretrain", "generate", "score@rule", "score@rouge"):
        write_cost(name)
    spool = Spool(Path(".goa/spool/compare/x.jsonl"))
    return Stage(name="compare", made_of={}, spool=spool, progress=Progress(spool, quiet=True))


def test_policies_stand_in_the_order_of_the_parameters(stage: Stage) -> None:
    compare_policies(stage)
    assert load_comparison(Path("out/comparison/comparison.json")).policies == (
        "mle",
        "rule-1",
        "rule-2",
        "rouge-1",
        "rouge-2",
        "rouge-constant-1",
        "rouge-constant-2",
    )


def test_policies_that_are_no_longer_named_are_not_compared(stage: Stage) -> None:
    write_policy("former-1", 9)
    compare_policies(stage)
    assert "former" not in load_comparison(Path("out/comparison/comparison.json")).names


def test_alarms_of_all_policies_are_shown(stage: Stage) -> None:
    compare_policies(stage)
    assert load_comparison(Path("out/comparison/comparison.json")).alarms == (ALARM,)
    page = Path("out/comparison/report.md").read_text(encoding="utf-8")
    assert "### ⚑ rule-2: chrf fell from update 20 on" in page
    assert "Validation reward 30.00 → 40.00, `chrf` 50.00 → 40.00" in page
    assert r"one two \| three" in page


def test_dvc_sees_the_winner(stage: Stage) -> None:
    compare_policies(stage)
    summary = json.loads(Path("metrics/compare.json").read_text(encoding="utf-8"))

    assert summary["winner"] == "rouge"
    assert summary["arms"]["rouge"]["delta"] > 0 > summary["arms"]["rule"]["delta"]


def test_comparing_twice_writes_the_same_files(stage: Stage) -> None:
    compare_policies(stage)
    names = sorted(Path("out/comparison").iterdir())
    before = [path.read_bytes() for path in names]
    compare_policies(stage)

    assert len(names) == 8
    assert [path.read_bytes() for path in names] == before


def test_the_page_has_every_example_and_says_how_to_get_it_again(stage: Stage) -> None:
    compare_policies(replace(stage, made_of={"out/data": "sha256:abc", "goa/arms.py": "sha256:1"}))
    page = Path("out/comparison/report.html").read_text(encoding="utf-8")

    assert page.count('["test-') == NUM_EXAMPLES
    assert "sha256:abc" in page
    assert "goa/arms.py" not in page
    assert "num_examples: 3" in page


def test_a_missing_evaluation_is_named_and_leaves_the_old_report(stage: Stage) -> None:
    compare_policies(stage)
    before = Path("out/comparison/report.md").read_bytes()
    Path("out/evaluations/rule-2/evaluation.json").unlink()

    with pytest.raises(DataError, match="out/evaluations/rule-2/evaluation.json"):
        compare_policies(stage)
    assert Path("out/comparison/report.md").read_bytes() == before


def test_a_missing_history_is_named(stage: Stage) -> None:
    Path("out/history/rouge-constant-1.csv").unlink()
    with pytest.raises(DataError, match="out/history/rouge-constant-1.csv"):
        compare_policies(stage)


def test_the_report_says_what_every_stage_cost(stage: Stage) -> None:
    write_cost("finetune@former-1")
    compare_policies(stage)
    page = Path("out/comparison/report.md").read_text(encoding="utf-8")

    assert "| `finetune@rouge-2` | 1 min 30 s | 1.9 MiB" in " ".join(page.split())
    assert "former" not in page


def test_a_missing_cost_is_named(stage: Stage) -> None:
    cost_path("score@rule").unlink()
    with pytest.raises(DataError, match=r"out/costs/score@rule\.json"):
        compare_policies(stage)


def test_missing_alarms_are_named(stage: Stage) -> None:
    Path("out/guards/rule-1.json").unlink()
    with pytest.raises(DataError, match="out/guards/rule-1.json: .* train 'rule-1'"):
        compare_policies(stage)
