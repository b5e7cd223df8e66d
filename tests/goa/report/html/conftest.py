"""A comparison that fills every part of the page."""

from dataclasses import replace

import pytest

from goa.evaluation.alarms import Divergent, GuardAlarm
from goa.evaluation.peakiness import Peakiness
from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Fact
from goa.report.entrants import group_by_arm
from goa.report.evidence import ArmPeakiness, Attribution, Bar, BarPoint
from goa.report.history import Curve, History
from goa.report.materials import ReportMaterials
from goa.report.recipe import Recipe
from goa.report.settings import CompareSettings
from goa.tracking.cost import Work
from tests.costs import make_cost
from tests.goa.report.conftest import make_evaluation, outputs_with, shares_around

ATTACK = "</script><script>window.attacked = true</script><img src=x onerror='attacked = true'>"
LOOKS, UPDATES = tuple(range(0, 41, 10)), tuple(range(1, 41))


def armed(evaluation: PolicyEvaluation) -> PolicyEvaluation:
    """Let the first example and what was written for it be an attack on the page."""
    first, *others = evaluation.examples
    texts = {
        name: (f"{ATTACK} {evaluation.policy}", *each[1:])
        for name, each in evaluation.outputs.items()
    }
    attacked = replace(first, id=f"test-{ATTACK}", source=ATTACK, references=(ATTACK,))
    return replace(evaluation, examples=(attacked, *others), outputs=texts)


def history(policy: str, gain: float) -> History:
    rising = Curve(updates=UPDATES, values=tuple(0.3 + gain * x for x in UPDATES))
    looks = Curve(updates=LOOKS, values=tuple(0.3 + gain * x for x in LOOKS))
    names = ("reward", "kl", "entropy", "length")
    curves = dict.fromkeys(names, rising) | {"validation_reward": looks, "validation_chrf": looks}
    return History(policy=policy, curves=curves)


@pytest.fixture(scope="session")
def materials() -> ReportMaterials:
    """Fill every part of the page."""
    centers = {"mle": 0.5, "rouge-1": 0.6, "rouge-2": 0.62, "rouge-constant-1": 0.52}
    centers |= {"rouge-constant-2": 0.5, "rule-1": 0.4, "rule-2": 0.42}
    evaluations = [
        armed(make_evaluation(policy, {"greedy": outputs_with(shares_around(center, seed))}))
        for seed, (policy, center) in enumerate(centers.items())
    ]
    entrants = group_by_arm(evaluations)
    found = compare(entrants, CompareSettings(resamples=100, num_examples=4), 3)
    change = found.cell("greedy", "rouge1", "rouge").change
    assert change is not None
    point = BarPoint(arm="mle", strategy="greedy", score=0.5, low=0.4, high=0.6, seconds=0.01)
    sure = Peakiness(
        entropy=1.5,
        top_1_mass=0.6,
        top_10_mass=0.9,
        reference_probability=0.5,
        rank_shares={"1": 0.7, "2": 0.2, "3": 0.1},
    )
    shown = Divergent(
        source=ATTACK, reference="r", before="b", after=ATTACK, score_before=0.5, score_after=0.1
    )
    filled = replace(
        found,
        attributions=(
            Attribution(
                strategy="greedy",
                metric="rouge1",
                arm="rouge",
                control="rouge-constant",
                gain=0.1,
                control_gain=0.02,
                left=change,
            ),
        ),
        bar=Bar(
            metric="rouge1",
            points=(point, replace(point, strategy="mbr", score=0.55, seconds=0.2)),
            trained=point,
            any_time=None,
            same_time=None,
            sentence="Decoding alone does not get there.",
        ),
        peakiness=tuple(ArmPeakiness(arm=arm, peakiness=sure) for arm in found.names),
        alarms=(
            GuardAlarm(
                policy="rule-1",
                guard="chrf",
                began=20,
                reward_before=0.3,
                reward_after=0.4,
                guard_before=0.5,
                guard_after=0.4,
                chosen=10,
                examples=(shown,),
            ),
        ),
        verdict=replace(found.verdict, facts=(Fact(name="how sure", text="p < 0.05"),)),
    )
    return ReportMaterials(
        comparison=filled,
        entrants=entrants,
        histories=[history(name, 0.001 * place) for place, name in enumerate(centers) if place],
        costs=[
            make_cost(
                energy=7200.0,
                work={"training": Work(seconds=40.0, sentences=10, tokens=400)},
            )
        ],
        recipe=Recipe(
            settings=f"seed: 3\nname: {ATTACK}\n",
            seeds={"fine-tuning": "1, 2"},
            versions={"python": "3.11"},
            digests={"out/data": "sha256:" + "0" * 64},
            commands={"all": "dvc repro"},
        ),
    )
