"""Every test example with every arm's output, for the page's script to sort and search."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from goa.evaluation.measure import as_number
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.html.differing import differing

DIGITS = 2
"""Of a score in points."""
UNSAFE_IN_SCRIPTS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""What HTML could read as the end of a script, spelt as JSON may."""


def explore(comparison: Comparison, entrants: Sequence[Entrant]) -> Mapping[str, Any]:
    """Gather what every arm, by its first seed, wrote by the verdict's strategy.

    An example is a list, for there are many: its id, source, references; its outputs, arm by arm,
    cut where they differ from the baseline's (see :func:`differing`); their scores in points.
    """
    verdict = comparison.verdict
    shown = [entrant.evaluations[0] for entrant in entrants]
    outputs = [each.outputs[verdict.strategy] for each in shown]
    scores = [each.evaluations[verdict.strategy].values[verdict.metric] for each in shown]
    return {
        "arms": [entrant.arm.name for entrant in entrants],
        "best": verdict.best,
        "examples": [
            [
                example.id,
                example.source,
                example.references,
                _outputs([texts[place] for texts in outputs]),
                [_points(as_number(values[place])) for values in scores],
            ]
            for place, example in enumerate(shown[0].examples if shown else ())
        ],
    }


def as_script(value: Mapping[str, Any]) -> str:
    """Write a value as JSON that can stand inside a script element, whatever texts it has."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, spelling in UNSAFE_IN_SCRIPTS.items():
        text = text.replace(character, spelling)
    return text


def _outputs(texts: Sequence[str]) -> list[list[str]]:
    baseline, *others = texts
    return [[f"={baseline}"] if baseline else [], *(differing(text, baseline) for text in others)]


def _points(score: float | None) -> float | None:
    return None if score is None else round(100 * score, DIGITS)
