"""The table of kinds and its settings."""

import subprocess
import sys

import pytest
from pydantic import Field

from goa.errors import SettingsError
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.contract import Evaluator, Metric
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.table import (
    EvaluatorName,
    EvaluatorSettings,
    MetricSettings,
    build_evaluator,
    build_metric,
)
from goa.settings import Settings, validate

EVALUATORS = ["bleu", "chrf", "ter", "rouge", "rule", "distinct"]


class Sections(Settings):
    """What params.yaml says of evaluators and metrics."""

    evaluators: dict[EvaluatorName, EvaluatorSettings] = Field(default_factory=dict)
    metrics: dict[str, MetricSettings] = Field(default_factory=dict)


def read(**sections) -> Sections:
    return validate(Sections, sections, "params.yaml")


@pytest.mark.parametrize("kind", EVALUATORS)
def test_every_kind_of_evaluator_is_built_by_its_name(kind: str) -> None:
    settings = read(evaluators={"mine": {"kind": kind}}).evaluators["mine"]
    evaluator = build_evaluator("mine", settings)
    assert isinstance(evaluator, Evaluator)
    assert evaluator.name == "mine"
    assert "version:" in evaluator.signature


@pytest.mark.parametrize("kind", [*EVALUATORS, "length_ratio"])
def test_every_kind_is_a_metric(kind: str) -> None:
    settings = read(metrics={"mine": {"kind": kind}}).metrics["mine"]
    assert isinstance(build_metric("mine", settings), Metric)


def test_a_description_is_no_reward() -> None:
    with pytest.raises(SettingsError, match=r"evaluators.len.kind: 'length_ratio' is none of bleu"):
        read(evaluators={"len": {"kind": "length_ratio"}})


def test_an_unknown_kind_is_told_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"evaluators.b.kind: 'blue' .*did you mean bleu"):
        read(evaluators={"b": {"kind": "blue"}})


def test_an_unknown_setting_is_told_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"lowercased: unknown setting; did you mean lowercase"):
        read(evaluators={"b": {"kind": "bleu", "lowercased": True}})


@pytest.mark.parametrize("name", ["Bleu", "1st", "b-4", "b.4", "", "a/b", "naïve"])
def test_a_name_that_files_and_stages_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="a name starts with a lower-case letter"):
        read(evaluators={name: {"kind": "bleu"}})


def test_the_name_of_the_policy_before_fine_tuning_is_taken() -> None:
    with pytest.raises(SettingsError, match="mle names the policy before fine-tuning"):
        read(evaluators={"mle": {"kind": "bleu"}})


def test_two_evaluators_of_one_kind_are_told_apart_by_signature() -> None:
    signatures = {build_evaluator("b", BleuSettings(max_order=n)).signature for n in range(1, 10)}
    assert len(signatures) == 9


def test_the_length_ratio_has_a_signature() -> None:
    signature = build_metric("length_ratio", LengthRatioSettings()).signature
    assert signature.startswith("length_ratio|version:goa-")


def test_checking_settings_imports_no_scoring_library() -> None:
    code = "import sys, goa.evaluators.table; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "sacrebleu", "rouge_score", "nltk", "vaderSentiment"}
    assert not heavy & set(done.stdout.split())
