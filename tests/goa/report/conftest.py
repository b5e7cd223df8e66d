"""Evaluations of made-up policies, whose every output has the score we say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import evaluate
from goa.evaluation.storage import PolicyEvaluation
from goa.evaluators.contract import pair_samples
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.table import build_metric
from goa.evaluators.ter import TerSettings
from goa.records import Example
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant, group_by_arm
from goa.report.settings import CompareSettings

NUM_EXAMPLES = 60
REFERENCE = "one two three four five six seven eight nine ten"
METRICS = {
    "rouge1": RougeSettings(kind="rouge", variant="rouge1"),
    "ter": TerSettings(),
    "length_ratio": LengthRatioSettings(),
    "rouge": RougeSettings(kind="rouge", variant="rouge1"),
}
EXAMPLES = tuple(
    Example(id=f"test-{place}", source=f"Quelle {place}", references=(REFERENCE,))
    for place in range(NUM_EXAMPLES)
)


def outputs_with(shares: Sequence[float]) -> tuple[str, ...]:
    """Write texts of ten words of which the given shares are right: ROUGE-1 is the share."""
    words = REFERENCE.split()
    return tuple(
        " ".join([*words[: round(10 * share)], *["oops"] * (10 - round(10 * share))])
        for share in shares
    )


def shares_around(center: float, seed: int) -> list[float]:
    """Draw a share for each example, 0.1 or 0.2 about a centre."""
    rng = np.random.default_rng(seed)
    return [center + step for step in rng.choice([-0.2, -0.1, 0.0, 0.1, 0.2], NUM_EXAMPLES)]


def make_evaluation(policy: str, outputs: Mapping[str, tuple[str, ...]]) -> PolicyEvaluation:
    bootstrap = Bootstrap(seed=3, resamples=200)
    metrics = [build_metric(name, settings) for name, settings in METRICS.items()]
    return PolicyEvaluation(
        policy=policy,
        bootstrap=bootstrap,
        metrics=METRICS,
        examples=EXAMPLES,
        outputs=outputs,
        evaluations={
            strategy: evaluate(pair_samples(EXAMPLES, texts), metrics, bootstrap)
            for strategy, texts in outputs.items()
        },
    )


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
