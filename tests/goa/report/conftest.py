"""Comparisons of made-up policies by name -> what share of their words is right."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant, group_by_arm
from goa.report.settings import CompareSettings
from tests.comparisons import make_evaluation, outputs_with, shares_around

MakeEvaluations = Callable[..., list[PolicyEvaluation]]
MakeComparison = Callable[..., Comparison]
ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]


@pytest.fixture
def by_arm() -> ByArm:
    """Put policies together by arm; whose name gives no seed was trained with 17."""

    def group(evaluations: Sequence[PolicyEvaluation]) -> list[Entrant]:
        return group_by_arm(
            [
                each
                if each.policy == "mle" or "-" in each.policy
                else replace(each, policy=f"{each.policy}-17")
                for each in evaluations
            ]
        )

    return group


@pytest.fixture
def make_evaluations() -> MakeEvaluations:
    """Evaluate policies by name -> the share of words that are right about them."""

    def make(**centers: float) -> list[PolicyEvaluation]:
        return [
            make_evaluation(
                policy,
                {
                    "greedy": outputs_with(shares_around(center, seed)),
                    "beam": outputs_with(shares_around(center, seed + 100)),
                },
            )
            for seed, (policy, center) in enumerate(centers.items())
        ]

    return make


@pytest.fixture
def make_comparison(make_evaluations: MakeEvaluations, by_arm: ByArm) -> MakeComparison:
    """Compare arms by name -> the share of words that are right about them."""

    def make(settings: CompareSettings | None = None, **centers: float) -> Comparison:
        settings = settings or CompareSettings(resamples=400, num_examples=8)
        return compare(by_arm(make_evaluations(**centers)), settings, seed=3)

    return make


@pytest.fixture
def comparison(make_comparison: MakeComparison) -> Comparison:
    """Compare a better and a worse arm with mle."""
    return make_comparison(mle=0.5, rouge=0.6, rule=0.4)
