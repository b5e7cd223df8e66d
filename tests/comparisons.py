"""Evaluations of made-up policies whose outputs have the scores we say, and their comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from goa.evaluation.alarms import Divergent, GuardAlarm
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import evaluate
from goa.evaluation.peakiness import Peakiness
from goa.evaluation.storage import PolicyEvaluation
from goa.evaluators.contract import pair_samples
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.table import MetricSettings, build_metric
from goa.evaluators.ter import TerSettings
from goa.records import Example
from goa.report.comparison import Comparison, Fact
from goa.report.evidence import ArmPeakiness, Attribution, Bar, BarPoint

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


def make_evaluation(
    policy: str,
    outputs: Mapping[str, tuple[str, ...]],
    settings: Mapping[str, MetricSettings] = METRICS,
) -> PolicyEvaluation:
    """Evaluate what a policy is said to have written, by strategy."""
    bootstrap = Bootstrap(seed=3, resamples=200)
    metrics = [build_metric(name, each) for name, each in settings.items()]
    return PolicyEvaluation(
        policy=policy,
        bootstrap=bootstrap,
        metrics=settings,
        examples=EXAMPLES,
        outputs=outputs,
        evaluations={
            strategy: evaluate(pair_samples(EXAMPLES, texts), metrics, bootstrap)
            for strategy, texts in outputs.items()
        },
    )


def make_evaluations() -> list[PolicyEvaluation]:
    """Evaluate mle, two evaluators' arms and a control beside one of them, two seeds each."""
    centers = {"mle": 0.5, "rouge-1": 0.6, "rouge-2": 0.62, "rouge-constant-1": 0.52}
    centers |= {"rouge-constant-2": 0.5, "rule-1": 0.4, "rule-2": 0.42}
    return [
        make_evaluation(policy, {"greedy": outputs_with(shares_around(center, seed))})
        for seed, (policy, center) in enumerate(centers.items())
    ]


def make_alarm(**changes: Any) -> GuardAlarm:
    """Say that a guard of rule-1 fell while its reward rose."""
    shown = Divergent(
        source="Quelle",
        reference=REFERENCE,
        before="one two | three",
        after="good good good",
        score_before=0.4,
        score_after=0.1,
    )
    alarm = GuardAlarm(
        policy="rule-1",
        guard="chrf",
        began=20,
        reward_before=0.3,
        reward_after=0.4,
        guard_before=0.5,
        guard_after=0.4,
        chosen=10,
        examples=(shown,),
    )
    return replace(alarm, **changes)


def fill(found: Comparison) -> Comparison:
    """Put something into every part of a comparison of ``make_evaluations``."""
    change = found.cell("greedy", "rouge1", "rouge").change
    assert change is not None
    owed = Attribution(
        strategy="greedy",
        metric="rouge1",
        arm="rouge",
        control="rouge-constant",
        gain=0.1,
        control_gain=0.02,
        left=change,
    )
    point = BarPoint(arm="mle", strategy="greedy", score=0.5, low=0.4, high=0.6, seconds=0.01)
    bar = Bar(
        metric="rouge1",
        points=(point, replace(point, strategy="mbr", score=0.55, seconds=0.2)),
        trained=point,
        any_time=None,
        same_time=None,
        sentence="Decoding alone does not get there.",
    )
    sure = Peakiness(
        entropy=1.5,
        top_1_mass=0.6,
        top_10_mass=0.9,
        reference_probability=0.5,
        rank_shares={"1": 0.7, "2": 0.2, "3": 0.1},
    )
    return replace(
        found,
        attributions=(owed,),
        bar=bar,
        peakiness=tuple(ArmPeakiness(arm=arm, peakiness=sure) for arm in found.names),
        alarms=(make_alarm(),),
        verdict=replace(found.verdict, facts=(Fact(name="how sure", text="p < 0.05"),)),
    )
