"""Stage evaluate: decode, measure, write down."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from goa.data.corpus import CorpusWriter, split_path
from goa.data.noise import NoiseSettings, noised
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings, SampleSettings
from goa.errors import EvaluatorError, PolicyError, SettingsError
from goa.evaluation.storage import load_evaluation
from goa.evaluation.teacher_forcing import measure_peakiness
from goa.evaluators.contract import pair_samples
from goa.evaluators.discriminator import EnergySettings
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.records import Example
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool, read_spool
from pipelines.decoding import decode
from pipelines.evaluate import evaluate_policy
from pipelines.stage import Stage

EXAMPLES = [
    Example(id=f"test-{place}", source=source, references=(source, "a dog"))
    for place, source in enumerate(["the red bird sings", "a small dog sleeps", "a bird sees"])
]
PARAMS = {
    "seed": 7,
    "compute": {"device": "cpu"},
    "evaluators": {"rule": {"kind": "rule", "relevance": 0.9}},
    "evaluate": {
        "strategies": {
            "greedy": {"kind": "greedy", "max_tokens": 6},
            "sample": {"kind": "sample", "num_candidates": 2, "max_tokens": 6},
        },
        "metrics": {"bleu": {"kind": "bleu"}, "rule": {"kind": "rule"}},
        "resamples": 20,
        "sources_per_batch": 2,
    },
    "other": "not looked at",
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy) -> Stage:
    """Stand in a project whose policy and test split are there."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False), encoding="utf-8")
    Path("out/data").mkdir(parents=True)
    save_policy(policy, Path("out/policies/mle"))
    with CorpusWriter(split_path(Path("out/data"), "test")) as writer:
        for example in EXAMPLES:
            writer.add(example)
    spool = Spool(Path(".goa/spool/evaluate_mle/x.jsonl"))
    return Stage(name="evaluate_mle", made_of={}, spool=spool, progress=Progress(spool, quiet=True))


def test_every_strategy_is_measured_by_metrics_and_evaluators(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    evaluation = load_evaluation(Path("out/evaluations/mle"))

    assert evaluation.policy == "mle"
    assert evaluation.examples == tuple(EXAMPLES)
    assert list(evaluation.outputs) == ["greedy", "sample"]
    for found in evaluation.evaluations.values():
        assert list(found.measurements)[:3] == ["bleu", "rule", "rule.relevance"]


def test_it_says_how_long_each_strategy_took_to_write_how_much(
    stage: Stage, policy: Policy
) -> None:
    evaluate_policy(stage, "mle")
    sources = policy.tokenize_sources([example.source for example in EXAMPLES])
    greedy = GreedySettings(kind="greedy", max_tokens=6)
    written = generate(policy, sources, greedy, 7, [example.id for example in EXAMPLES])

    assert list(stage.work) == ["greedy", "sample"]
    assert stage.work["greedy"].tokens == int(written.mask.sum())
    for work in stage.work.values():
        assert work.sentences == len(EXAMPLES)  # of two drawn candidates one is given
        assert 0 < work.seconds < 600


def test_noised_sources_are_written_and_measured_besides(stage: Stage, policy: Policy) -> None:
    evaluate_policy(stage, "mle")
    clean = load_evaluation(Path("out/evaluations/mle"))
    noise = {"swaps": 0.5, "drops": 0.5}
    changed = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "noise": noise}}
    Path("params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    evaluate_policy(stage, "mle")
    evaluation = load_evaluation(Path("out/evaluations/mle"))

    ways = ["greedy", "sample", "greedy_noised", "sample_noised"]
    assert list(evaluation.outputs) == list(evaluation.evaluations) == ways
    assert {way: evaluation.outputs[way] for way in ways[:2]} == clean.outputs
    assert evaluation.examples == tuple(EXAMPLES)  # measured against what they were
    spoilt = noised(EXAMPLES, NoiseSettings(**noise), 7, "test")
    greedy = GreedySettings(kind="greedy", max_tokens=6)
    assert list(evaluation.outputs["greedy_noised"]) == decode(policy, spoilt, greedy, 7)
    summary = json.loads(Path("metrics/evaluate/mle.json").read_text(encoding="utf-8"))
    assert list(summary) == ["num_examples", "peakiness", *ways]


def test_ways_of_the_baseline_s_own_are_written_for_it_alone(stage: Stage) -> None:
    own = {
        "mbr": {"kind": "mbr", "evaluator": "bleu", "num_candidates": 3, "max_tokens": 6},
    }
    changed = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "baseline_strategies": own}}
    Path("params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    shutil.copytree("out/policies/mle", "out/policies/rule-17")

    for name in ("mle", "rule-17"):
        evaluate_policy(stage, name)

    outputs = {
        name: load_evaluation(Path("out/evaluations") / name).outputs for name in ("mle", "rule-17")
    }
    assert list(outputs["mle"]) == ["greedy", "sample", "mbr"]
    assert list(outputs["rule-17"]) == ["greedy", "sample"]


def test_no_way_of_the_baseline_s_own_looks_at_the_test_references(stage: Stage) -> None:
    own = {"mbr": {"kind": "mbr", "evaluator": "bleu", "num_candidates": 5, "max_tokens": 6}}
    changed = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "baseline_strategies": own}}
    Path("params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    evaluate_policy(stage, "mle")
    before = load_evaluation(Path("out/evaluations/mle")).outputs
    with CorpusWriter(split_path(Path("out/data"), "test")) as writer:
        for example in EXAMPLES:
            writer.add(replace(example, references=("nothing of the kind",)))
    evaluate_policy(stage, "mle")

    assert load_evaluation(Path("out/evaluations/mle")).outputs == before


def test_an_evaluator_s_settings_win_over_a_metric_of_its_name(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    evaluation = load_evaluation(Path("out/evaluations/mle"))

    signature = evaluation.evaluations["greedy"].measurements["rule"].signature
    assert "relevance:0.9" in signature


def test_dvc_sees_strategy_metric_score(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    summary = json.loads(Path("metrics/evaluate/mle.json").read_text(encoding="utf-8"))
    found = load_evaluation(Path("out/evaluations/mle")).evaluations["greedy"].measurements

    assert list(summary) == ["num_examples", "peakiness", "greedy", "sample"]
    assert summary["num_examples"] == 3
    assert summary["greedy"]["bleu"] == pytest.approx(found["bleu"].score, abs=1e-6)


def test_how_sure_the_policy_is_of_the_references_is_measured(stage: Stage, policy: Policy) -> None:
    evaluate_policy(stage, "mle")
    found = load_evaluation(Path("out/evaluations/mle")).peakiness
    summary = json.loads(Path("metrics/evaluate/mle.json").read_text(encoding="utf-8"))

    assert found is not None
    assert found == measure_peakiness(policy, EXAMPLES, 2)
    assert summary["peakiness"]["entropy"] == pytest.approx(found.entropy, abs=1e-6)
    assert summary["peakiness"]["rank_shares"] == pytest.approx(found.rank_shares, abs=1e-6)


def test_evaluating_twice_writes_the_same_files(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    files = ["metrics/evaluate/mle.json"]
    files += [f"out/evaluations/mle/{x}" for x in ("evaluation.json", "outputs.jsonl")]
    before = [Path(name).read_bytes() for name in files]
    evaluate_policy(stage, "mle")

    assert [Path(name).read_bytes() for name in files] == before


def test_outputs_are_the_first_candidates_drawn_with_the_run_s_seed(
    stage: Stage, policy: Policy
) -> None:
    evaluate_policy(stage, "mle")
    outputs = load_evaluation(Path("out/evaluations/mle")).outputs
    strategy = SampleSettings(kind="sample", num_candidates=2, max_tokens=6)
    sources = policy.tokenize_sources([example.source for example in EXAMPLES])
    candidates = generate(policy, sources, strategy, 7, [example.id for example in EXAMPLES])

    assert outputs["sample"] == tuple(first for first, _ in candidates.texts)


def test_progress_is_told_for_each_strategy_and_for_the_references(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    records = read_spool(Path(".goa/spool/evaluate_mle/x.jsonl"))

    finished = [record for record in records if record.get("done") == record.get("total") == 3]
    assert len(finished) == 3


def test_the_size_of_a_batch_changes_no_output(policy: Policy) -> None:
    for strategy in (GreedySettings(kind="greedy", max_tokens=6), SampleSettings(kind="sample")):
        together = decode(policy, EXAMPLES, strategy, 7)
        alone = [text for each in EXAMPLES for text in decode(policy, [each], strategy, 7)]
        assert together == alone


ENERGY = EnergySettings(embedding=8, channels=8, buckets=64, epochs=2)


def choose_by_energy(**evaluator: object) -> None:
    """Let strategies draw and choose, one by an evaluator that learns."""
    drawn = {"num_candidates": 4, "max_tokens": 6}
    strategies = {
        "sample": {"kind": "sample", **drawn},
        "best": {"kind": "best_of", "evaluator": "energy", **drawn, **evaluator},
        "mbr": {"kind": "mbr", "evaluator": "bleu", **drawn},
    }
    changed = {
        **PARAMS,
        "evaluators": {"energy": ENERGY.model_dump()},
        "evaluate": {**PARAMS["evaluate"], "strategies": strategies},
    }
    Path("params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")


def test_a_strategy_chooses_by_what_an_evaluator_learnt(stage: Stage, policy: Policy) -> None:
    choose_by_energy()
    energy = ENERGY.build("energy")
    energy.learn(pair_samples(EXAMPLES, ["the bird", "dog", "red red red"]), 1, anew=True)
    Path("out/evaluators/energy").mkdir(parents=True)
    energy.save(Path("out/evaluators/energy"))
    evaluate_policy(stage, "mle")
    evaluation = load_evaluation(Path("out/evaluations/mle"))

    strategy = SampleSettings(kind="sample", num_candidates=4, max_tokens=6)
    sources = policy.tokenize_sources([example.source for example in EXAMPLES])
    drawn = generate(policy, sources, strategy, 7, [example.id for example in EXAMPLES]).texts
    for row, best in zip(
        zip(EXAMPLES, drawn, strict=True), evaluation.outputs["best"], strict=True
    ):
        example, texts = row
        scores = energy.score(pair_samples([example] * 4, texts)).values
        assert best == texts[scores.index(max(scores))]  # type: ignore[type-var]
    means = {
        name: found.measurements["energy"].score for name, found in evaluation.evaluations.items()
    }
    assert means["best"] > means["sample"]  # type: ignore[operator]
    assert list(evaluation.outputs) == ["sample", "best", "mbr"]


def test_an_evaluator_that_has_not_learnt_is_named_before_anything_is_written(
    stage: Stage,
) -> None:
    choose_by_energy()
    with pytest.raises(EvaluatorError, match="energy: .*run its score stage"):
        evaluate_policy(stage, "mle")
    assert read_spool(Path(".goa/spool/evaluate_mle/x.jsonl")) == []


def test_nothing_is_chosen_by_the_references_of_the_test_split(stage: Stage) -> None:
    choose_by_energy(evaluator="bleu")
    with pytest.raises(SettingsError, match="best.evaluator: 'bleu' reads references"):
        evaluate_policy(stage, "nowhere")


def test_a_missing_policy_is_named_and_leaves_the_old_evaluation(stage: Stage) -> None:
    evaluate_policy(stage, "mle")
    before = Path("out/evaluations/mle/evaluation.json").read_bytes()
    with pytest.raises(PolicyError, match="out/policies/bleu"):
        evaluate_policy(stage, "bleu")

    assert Path("out/evaluations/mle/evaluation.json").read_bytes() == before


def test_a_mistyped_setting_is_named_before_anything_is_loaded(stage: Stage) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("resamples", "resample"), encoding="utf-8")
    with pytest.raises(SettingsError, match="did you mean resamples"):
        evaluate_policy(stage, "nowhere")
