"""What the page's script sorts and searches."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.entrants import Entrant
from goa.report.html.explorer import as_script, explore
from goa.report.settings import CompareSettings

ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]
MakeEvaluations = Callable[..., list[PolicyEvaluation]]


@pytest.fixture
def entrants(make_evaluations: MakeEvaluations, by_arm: ByArm) -> list[Entrant]:
    centers = {"mle": 0.5, "rouge-1": 0.6, "rouge-2": 0.7}
    return by_arm(make_evaluations(**centers))


def test_every_example_has_the_first_seed_s_output_and_score(entrants: list[Entrant]) -> None:
    comparison = compare(entrants, CompareSettings(resamples=50, num_examples=2), 3)
    found = explore(comparison, entrants)
    first = entrants[1].evaluations[0]

    assert found["arms"] == ["mle", "rouge"]
    assert found["best"] == "rouge"
    assert len(found["examples"]) == 60
    for place, (name, source, references, outputs, scores) in enumerate(found["examples"]):
        example = first.examples[place]
        assert (name, source, references) == (example.id, example.source, example.references)
        kept = [part[1:] for part in outputs[1] if part[0] != "-"]
        assert "".join(kept) == first.outputs["greedy"][place]
        value = first.evaluations["greedy"].values["rouge1"][place]
        assert scores[1] == pytest.approx(100 * value, abs=0.005)


def test_an_output_without_a_score_has_none(entrants: list[Entrant]) -> None:
    comparison = compare(entrants, CompareSettings(resamples=50, num_examples=2), 3)
    (baseline,) = entrants[0].evaluations
    greedy = baseline.evaluations["greedy"]
    values = {**greedy.values, "rouge1": np.full(60, np.nan)}
    unscored = replace(baseline, evaluations={"greedy": replace(greedy, values=values)})
    found = explore(comparison, [replace(entrants[0], evaluations=(unscored,)), *entrants[1:]])

    assert {each[4][0] for each in found["examples"]} == {None}
    json.loads(as_script(found), parse_constant=pytest.fail)


def test_without_entrants_there_is_nothing_to_explore(entrants: list[Entrant]) -> None:
    comparison = compare(entrants, CompareSettings(resamples=50, num_examples=2), 3)
    assert explore(comparison, [])["examples"] == []


@pytest.mark.parametrize("text", ["</script>", "<!-- <script>", "a & b", "\u2028 ü 中"])
def test_no_text_ends_the_script_and_all_come_back(text: str) -> None:
    written = as_script({"text": text})
    assert not set("<>&") & set(written)
    assert json.loads(written) == {"text": text}
