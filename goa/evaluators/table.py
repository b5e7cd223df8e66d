"""The kinds of evaluators and metrics: one line each, here and nowhere else.

A new kind is a file with its settings model (a ``kind``, and ``build(name)``) beside its class, a
line below, and its test.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import Evaluator, Metric
from goa.evaluators.distinct import DistinctSettings
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.ter import TerSettings

Rewarding = (
    BleuSettings
    | ChrfSettings
    | TerSettings
    | RougeSettings
    | RuleSettings
    | DistinctSettings
)  # fmt: skip
"""Usable as reward and as metric."""

Describing = LengthRatioSettings
"""Usable as metric only."""

EvaluatorSettings = Annotated[Rewarding, Field(discriminator="kind")]
MetricSettings = Annotated[Rewarding | Describing, Field(discriminator="kind")]


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "a name starts with a lower-case letter and goes on with letters, digits, _"
        )
    if name == "mle":
        raise ValueError("mle names the policy before fine-tuning; choose another name")
    return name


EvaluatorName = Annotated[str, AfterValidator(_check_name)]
"""A key of ``evaluators`` in params.yaml; stages, files and policies are named after it."""


def build_evaluator(name: str, settings: Rewarding) -> Evaluator:
    """Build an evaluator called ``name``."""
    return settings.build(name)


def build_metric(name: str, settings: Rewarding | Describing) -> Metric:
    """Build a metric called ``name``; evaluators are metrics too."""
    return settings.build(name)
