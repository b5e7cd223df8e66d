"""A mix is the weighted mean of its parts."""

from collections.abc import Sequence

import numpy as np
import pytest

from goa.evaluation.measure import Part
from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.contract import checked_score
from goa.evaluators.mix import MixPartSettings, MixSettings
from goa.evaluators.rule import Rule
from goa.evaluators.table import build_evaluator
from goa.records import Example, Sample, Scores
from goa.settings import validate

SETTINGS = {
    "kind": "mix",
    "parts": {
        "bleu": {"weight": 3.0, "evaluator": {"kind": "bleu"}},
        "rule": {"weight": 1.0, "evaluator": {"kind": "rule"}},
    },
}
SAMPLES = [
    Sample(
        example=Example(id="a", source="x", references=("the good red bird sings at night",)),
        candidate=text,
    )
    for text in ("the good red bird sings", "a dog", "the good red bird sings at night", "")
]


def test_it_is_the_weighted_mean_with_all_parts_in_the_breakdown() -> None:
    settings = validate(MixSettings, SETTINGS, "here")
    scores = checked_score(build_evaluator("both", settings), SAMPLES)
    alone = {
        name: checked_score(part.evaluator.build(name), SAMPLES)
        for name, part in settings.parts.items()
    }
    for row, value in enumerate(scores.values):
        bleu, rule = (alone[name].values[row] for name in ("bleu", "rule"))
        assert bleu is not None
        assert rule is not None
        assert value == pytest.approx(0.75 * bleu + 0.25 * rule, abs=1e-12)
    assert scores.parts["bleu"] == alone["bleu"].values
    assert scores.parts["rule.relevance"] == alone["rule"].parts["relevance"]


def test_where_a_part_does_not_apply_neither_does_the_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    def known_by_half(self: Rule, samples: Sequence[Sample]) -> Scores:
        return Scores(values=tuple(0.5 if sample.candidate else None for sample in samples))

    monkeypatch.setattr(Rule, "score", known_by_half)
    scores = checked_score(build_evaluator("both", validate(MixSettings, SETTINGS, "")), SAMPLES)
    assert scores.parts["rule"] == (0.5, 0.5, 0.5, None)
    assert [value is None for value in scores.values] == [False, False, False, True]


def test_its_signature_tells_weights_and_parts() -> None:
    made = build_evaluator("both", validate(MixSettings, SETTINGS, "here"))
    assert made.signature.startswith("0.75*[BLEU|")
    assert "+0.25*[rule|" in made.signature


def test_a_part_that_rests_on_a_model_is_not_looked_for_before_it_is_needed() -> None:
    # Comparing recorded outputs builds a mix and its parts only to sum up statistics.
    absent = MixPartSettings(evaluator=ClassifierSettings(model="not/here"))
    mix = MixSettings(kind="mix", parts={"one": absent}).build("m")
    assert Part(mix, "one").corpus(np.array([1.0, 2.0])) == 0.5
