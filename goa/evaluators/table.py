"""The kinds of evaluators and metrics, and how they are built."""

from typing import Annotated

from pydantic import AfterValidator, Field

from goa.evaluators.composite import CompositeSettings
from goa.evaluators.contract import Evaluator, Metric
from goa.evaluators.kinds import Single
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.settings import Name

Rewarding = Single | CompositeSettings
"""Usable as reward and as metric."""

Describing = LengthRatioSettings
"""Usable as metric only."""

EvaluatorSettings = Annotated[Rewarding, Field(discriminator="kind")]
MetricSettings = Annotated[Rewarding | Describing, Field(discriminator="kind")]


def _check_name(name: str) -> str:
    if name == "mle":
        raise ValueError("mle names the policy before fine-tuning; choose another name")
    return name


EvaluatorName = Annotated[Name, AfterValidator(_check_name)]
"""A key of ``evaluators`` in params.yaml; stages, files and policies are named after it."""


def build_evaluator(name: str, settings: Rewarding) -> Evaluator:
    """Build an evaluator called ``name``."""
    return settings.build(name)


def build_metric(name: str, settings: Rewarding | Describing) -> Metric:
    """Build a metric called ``name``; evaluators are metrics too."""
    return settings.build(name)
