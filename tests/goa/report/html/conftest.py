"""A comparison that fills every part of the page."""

from dataclasses import replace

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.entrants import group_by_arm
from goa.report.history import Curve, History
from goa.report.materials import ReportMaterials
from goa.report.recipe import Recipe
from goa.report.settings import CompareSettings
from goa.tracking.cost import Work
from tests.comparisons import fill, make_evaluations
from tests.costs import make_cost

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
    evaluations = [armed(each) for each in make_evaluations()]
    entrants = group_by_arm(evaluations)
    filled = fill(compare(entrants, CompareSettings(resamples=100, num_examples=4), 3))
    (alarm,) = filled.alarms
    shown = replace(alarm.examples[0], source=ATTACK, after=ATTACK)
    filled = replace(filled, alarms=(replace(alarm, examples=(shown,)),))
    return ReportMaterials(
        comparison=filled,
        entrants=entrants,
        histories=[
            history(each.policy, 0.001 * place) for place, each in enumerate(evaluations) if place
        ],
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
