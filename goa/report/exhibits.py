"""Choosing the test examples that a report shows."""

from collections.abc import Mapping, Sequence

import numpy as np

from goa.evaluation.measure import as_number
from goa.evaluation.storage import PolicyEvaluation
from goa.evaluators.contract import FloatArray
from goa.randomness import generator
from goa.report.comparison import Exhibit, Verdict
from goa.report.entrants import Entrant
from goa.report.numbers import say_delta


def choose_exhibits(
    entrants: Sequence[Entrant], verdict: Verdict, num_examples: int, seed: int
) -> tuple[Exhibit, ...]:
    """Choose examples: the best arm's largest gains and losses, the others by lot.

    A quarter of them are the largest gains on the baseline by the primary metric of each output,
    a quarter the largest losses, and the rest are drawn by seed, whatever they look like. An arm
    shows what it wrote with its first seed.
    """
    shown = {entrant.arm.name: entrant.evaluations[0] for entrant in entrants}
    values = {
        arm: evaluation.evaluations[verdict.strategy].values[verdict.metric]
        for arm, evaluation in shown.items()
    }
    baseline = entrants[0].arm.name
    reasons: dict[int, str] = {}
    if verdict.best is not None:
        deltas = values[verdict.best] - values[baseline]
        what = f"of {verdict.best} by {verdict.metric}"
        for place in _largest(deltas, num_examples // 4):
            reasons[place] = f"among the largest gains {what}, {say_delta(deltas[place])}"
        for place in _largest(-deltas, num_examples // 4):
            reasons[place] = f"among the largest losses {what}, {say_delta(deltas[place])}"
    drawn = generator(seed, "exhibits").permutation(len(shown[baseline].examples))
    unused = [int(place) for place in drawn if place not in reasons]
    by_lot = dict.fromkeys(unused[: num_examples - len(reasons)], "drawn by lot")
    return tuple(
        _exhibit(shown, verdict, values, place, reason)
        for place, reason in (by_lot | reasons).items()
    )


def _largest(deltas: FloatArray, count: int) -> list[int]:
    """Find the places of the largest positive deltas [N], largest first, ties in order."""
    order = np.argsort(-np.nan_to_num(deltas), kind="stable")[:count]
    return [int(place) for place in order if deltas[place] > 0]


def _exhibit(
    shown: Mapping[str, PolicyEvaluation],
    verdict: Verdict,
    values: Mapping[str, FloatArray],
    place: int,
    reason: str,
) -> Exhibit:
    example = next(iter(shown.values())).examples[place]
    return Exhibit(
        id=example.id,
        source=example.source,
        references=example.references,
        outputs={
            arm: evaluation.outputs[verdict.strategy][place] for arm, evaluation in shown.items()
        },
        scores={arm: as_number(scores[place]) for arm, scores in values.items()},
        reason=reason,
    )
