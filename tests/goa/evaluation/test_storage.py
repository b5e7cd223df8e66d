"""Evaluations on disk: whole, or refused with the path."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goa.errors import DataError
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import evaluate
from goa.evaluation.peakiness import RANKS, Peakiness
from goa.evaluation.storage import (
    PolicyEvaluation,
    load_evaluation,
    rebuild_metric,
    save_evaluation,
)
from goa.evaluators.contract import pair_samples
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.table import build_metric
from goa.records import Example


@pytest.fixture
def evaluation() -> PolicyEvaluation:
    examples = (
        Example(id="a", source="Ein Hund\u2028bellt", references=("a dog barks", "the dog barks")),
        Example(id="b", source="Zwei | Katzen", references=("two happy cats",)),
        Example(id="c", source="", references=("nothing",)),
    )
    settings = {
        "rougeL": RougeSettings(kind="rouge", variant="rougeL"),
        "rule": RuleSettings(relevance=0.4),
        "length_ratio": LengthRatioSettings(),
    }
    outputs = {"greedy": ("a dog barks", "two cats", ""), "beam": ("dog", "two happy cats", "no")}
    metrics = [build_metric(name, each) for name, each in settings.items()]
    bootstrap = Bootstrap(seed=5, resamples=50, confidence=0.9)
    return PolicyEvaluation(
        policy="mle",
        bootstrap=bootstrap,
        metrics=settings,
        examples=examples,
        outputs=outputs,
        evaluations={
            name: evaluate(pair_samples(examples, texts), metrics, bootstrap)
            for name, texts in outputs.items()
        },
        peakiness=Peakiness(
            entropy=1.5,
            top_1_mass=0.25,
            top_10_mass=0.75,
            reference_probability=0.1,
            rank_shares=dict.fromkeys(RANKS, 1 / 6),
        ),
    )


def test_an_evaluation_comes_back_as_it_was(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path / "mle", evaluation)
    back = load_evaluation(tmp_path / "mle")

    assert (back.policy, back.bootstrap, back.metrics) == (
        "mle",
        evaluation.bootstrap,
        back.metrics,
    )
    assert back.metrics == evaluation.metrics
    assert back.peakiness == evaluation.peakiness
    assert (back.examples, back.outputs) == (evaluation.examples, evaluation.outputs)
    for strategy, found in evaluation.evaluations.items():
        assert back.evaluations[strategy].measurements == found.measurements
        for name in found.measurements:
            assert np.array_equal(
                back.evaluations[strategy].statistics[name], found.statistics[name]
            )
            assert np.array_equal(
                back.evaluations[strategy].values[name], found.values[name], equal_nan=True
            )


def test_saving_twice_writes_the_same_bytes(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path / "first", evaluation)
    save_evaluation(tmp_path / "second", evaluation)

    for name in ("evaluation.json", "statistics.npz", "outputs.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_outputs_are_rows_that_any_tool_reads(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path, evaluation)
    lines = (tmp_path / "outputs.jsonl").read_text(encoding="utf-8").split("\n")

    assert json.loads(lines[1]) == {
        "id": "b",
        "source": "Zwei | Katzen",
        "references": ["two happy cats"],
        "outputs": {"greedy": "two cats", "beam": "two happy cats"},
    }


def test_every_measure_can_be_built_again(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path, evaluation)
    back = load_evaluation(tmp_path)
    found = back.evaluations["greedy"]

    for name, measurement in found.measurements.items():
        metric = rebuild_metric(back, name)
        assert (metric.name, metric.signature) == (name, measurement.signature)
        score = float(metric.corpus(found.statistics[name].sum(axis=0)))
        assert score == pytest.approx(measurement.score, rel=1e-12)


def test_a_measure_without_settings_cannot_be_built(evaluation: PolicyEvaluation) -> None:
    with pytest.raises(DataError, match="no settings for metric 'bleu'"):
        rebuild_metric(evaluation, "bleu")


@pytest.mark.parametrize("name", ["evaluation.json", "statistics.npz", "outputs.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, evaluation: PolicyEvaluation, name: str) -> None:
    save_evaluation(tmp_path / "mle", evaluation)
    (tmp_path / "mle" / name).unlink()

    with pytest.raises(DataError, match=f"mle/{name}: .*No such file.*evaluate .*'mle' again"):
        load_evaluation(tmp_path / "mle")


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


@pytest.mark.parametrize("damage", [cut_in_half, empty, fill_with_noise])
@pytest.mark.parametrize("name", ["evaluation.json", "statistics.npz", "outputs.jsonl"])
def test_a_damaged_file_is_named(
    tmp_path: Path, evaluation: PolicyEvaluation, name: str, damage: Callable[[Path], None]
) -> None:
    save_evaluation(tmp_path / "mle", evaluation)
    damage(tmp_path / "mle" / name)

    with pytest.raises(DataError, match=f"mle/{name}: not a usable part"):
        load_evaluation(tmp_path / "mle")


def test_a_key_of_the_wrong_type_is_named(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path, evaluation)
    path = tmp_path / "evaluation.json"
    path.write_text(path.read_text().replace('"num_examples": 3', '"num_examples": "3"'))

    with pytest.raises(DataError, match=r"num_examples: Input should be a valid integer"):
        load_evaluation(tmp_path)


def test_a_bad_line_of_outputs_is_named(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path, evaluation)
    path = tmp_path / "outputs.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"beam": "no"', '"beem": "no"'), "utf-8"
    )

    with pytest.raises(DataError, match=r"outputs.jsonl: .*line 3: no output for strategy 'beam'"):
        load_evaluation(tmp_path)


def test_outputs_of_another_test_set_are_refused(
    tmp_path: Path, evaluation: PolicyEvaluation
) -> None:
    save_evaluation(tmp_path, evaluation)
    path = tmp_path / "outputs.jsonl"
    path.write_text(path.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")

    with pytest.raises(DataError, match="1 examples where 3 were measured"):
        load_evaluation(tmp_path)


def test_statistics_of_another_shape_are_refused(
    tmp_path: Path, evaluation: PolicyEvaluation
) -> None:
    save_evaluation(tmp_path, evaluation)
    path = tmp_path / "statistics.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    content["beam/rule/statistics"] = np.zeros((2, 2))
    np.savez(path, allow_pickle=False, **content)

    with pytest.raises(DataError, match=r"beam/rule/statistics: expected 3 rows, found shape"):
        load_evaluation(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path: Path, evaluation: PolicyEvaluation) -> None:
    save_evaluation(tmp_path, evaluation)
    path = tmp_path / "statistics.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    content["beam/rule/statistics"] = np.array([{"a": 1}], dtype=object)
    np.savez(path, allow_pickle=True, **content)

    with pytest.raises(DataError, match="allow_pickle=False"):
        load_evaluation(tmp_path)
