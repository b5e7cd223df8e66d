"""Settings of an evaluation."""

from typing import Any

import pytest

from goa.errors import SettingsError
from goa.evaluation.settings import EvaluateSettings
from goa.evaluators.rule import RuleSettings
from goa.settings import validate

BEAM = {"kind": "beam", "num_candidates": 4}
PLAIN: dict[str, Any] = {
    "strategies": {"greedy": {"kind": "greedy"}},
    "metrics": {"bleu": {"kind": "bleu"}, "rule": {"kind": "rule"}},
}


def test_an_evaluator_wins_over_a_metric_of_its_name_in_the_metric_s_place() -> None:
    settings = validate(EvaluateSettings, PLAIN, "params.yaml")
    rule = RuleSettings(relevance=0.9)

    joined = settings.measured_by({"other": RuleSettings(), "rule": rule})

    assert list(joined) == ["bleu", "rule", "other"]
    assert joined["rule"] == rule


@pytest.mark.parametrize("empty", ["strategies", "metrics"])
def test_an_evaluation_needs_strategies_and_metrics(empty: str) -> None:
    with pytest.raises(SettingsError, match=f"{empty}: dictionary should have at least 1 item"):
        validate(EvaluateSettings, {**PLAIN, empty: {}}, "params.yaml")


def test_a_strategy_s_name_must_be_fit_for_a_key() -> None:
    strategies = {"my/greedy": {"kind": "greedy"}}
    with pytest.raises(SettingsError, match="my/greedy"):
        validate(EvaluateSettings, {**PLAIN, "strategies": strategies}, "params.yaml")


def test_a_name_that_noised_outputs_take_is_refused() -> None:
    strategies = {name: {"kind": "greedy"} for name in ("greedy", "greedy_noised")}
    with pytest.raises(SettingsError, match="greedy_noised names what greedy writes"):
        validate(EvaluateSettings, {**PLAIN, "strategies": strategies, "noise": {}}, "params.yaml")
    validate(EvaluateSettings, {**PLAIN, "strategies": strategies}, "params.yaml")


def test_only_the_baseline_is_decoded_in_ways_of_its_own() -> None:
    own = {"mbr": {"kind": "mbr", "evaluator": "bleu"}}
    settings = validate(EvaluateSettings, {**PLAIN, "baseline_strategies": own}, "params.yaml")

    assert list(settings.strategies_of("mle")) == ["greedy", "mbr"]
    assert list(settings.strategies_of("bleu-17")) == ["greedy"]


def test_a_way_of_the_baseline_s_own_needs_a_name_of_its_own() -> None:
    own = {"greedy": {"kind": "beam"}}
    with pytest.raises(SettingsError, match="greedy: a strategy of every policy has this name"):
        validate(EvaluateSettings, {**PLAIN, "baseline_strategies": own}, "params.yaml")


def test_a_name_of_the_baseline_s_own_is_refused_where_noised_outputs_take_it() -> None:
    own = {"greedy_noised": {"kind": "beam"}}
    given = {**PLAIN, "baseline_strategies": own, "noise": {}}
    with pytest.raises(SettingsError, match="greedy_noised names what greedy writes"):
        validate(EvaluateSettings, given, "params.yaml")


@pytest.mark.parametrize(
    "strategy",
    [
        {"kind": "mbr", "evaluator": "bleu"},
        {"kind": "best_of", "evaluator": "copied", "num_candidates": 16},
        {"kind": "best_of", "evaluator": "copied", "log_prob_weight": 1.0, "write": BEAM},
    ],
    ids=str,
)
def test_the_bar_may_be_set_by_what_reads_no_test_reference(strategy: dict[str, Any]) -> None:
    metrics = {**PLAIN["metrics"], "copied": {"kind": "relevance", "against": "source"}}
    given = {**PLAIN, "metrics": metrics, "baseline_strategies": {"x": strategy}}
    validate(EvaluateSettings, given, "params.yaml").check_strategies({})


@pytest.mark.parametrize("write", [None, BEAM], ids=str)
@pytest.mark.parametrize("evaluator", ["bleu", "rule"])
def test_the_bar_may_not_be_set_by_test_references(
    evaluator: str, write: dict[str, Any] | None
) -> None:
    strategy = {"kind": "best_of", "evaluator": evaluator, "write": write}
    given = {**PLAIN, "baseline_strategies": {"x": strategy}}
    settings = validate(EvaluateSettings, given, "params.yaml")

    with pytest.raises(SettingsError, match=r"evaluate.baseline_strategies.x.evaluator: .* reads"):
        settings.check_strategies({})
