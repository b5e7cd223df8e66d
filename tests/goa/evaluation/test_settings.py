"""Settings of an evaluation."""

from typing import Any

import pytest

from goa.errors import SettingsError
from goa.evaluation.settings import EvaluateSettings
from goa.evaluators.rule import RuleSettings
from goa.settings import validate

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
