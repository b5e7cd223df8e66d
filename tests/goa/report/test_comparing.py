"""The matrix: scores, changes, tests and marks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from goa.errors import DataError, SettingsError
from goa.evaluation.storage import PolicyEvaluation
from goa.evaluators.contract import FloatArray
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.settings import CompareSettings

MakeEvaluations = Callable[..., list[PolicyEvaluation]]
MakeComparison = Callable[..., Comparison]
ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]
KINDS = ("constant", "shuffled", "likelihood")
SETTINGS = CompareSettings(resamples=200, num_examples=4)


def replace_statistics(
    evaluation: PolicyEvaluation, metric: str, rows: FloatArray, score: float
) -> PolicyEvaluation:
    """Put other statistics of one metric, and the score they give, under greedy."""
    found = evaluation.evaluations["greedy"]
    measurement = replace(found.measurements[metric], score=score)
    changed = replace(
        found,
        statistics={**found.statistics, metric: rows},
        measurements={**found.measurements, metric: measurement},
    )
    return replace(evaluation, evaluations={**evaluation.evaluations, "greedy": changed})


def test_there_is_a_cell_for_every_strategy_measure_and_arm(comparison: Comparison) -> None:
    assert comparison.names == ("mle", "rouge", "rule")
    assert comparison.strategies == ("greedy", "beam")
    assert [measure.name for measure in comparison.measures] == [
        "rouge1",
        "ter",
        "length_ratio",
        "rouge",
    ]
    assert len(comparison.cells) == 2 * 4 * 3


def test_scores_and_intervals_are_those_of_the_evaluation(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    evaluations = make_evaluations(mle=0.5, rouge=0.6)
    # The evaluation's own seed and number of resamples.
    comparison = compare(by_arm(evaluations), SETTINGS, seed=3)
    for evaluation in evaluations:
        for strategy, found in evaluation.evaluations.items():
            for name, expected in found.measurements.items():
                cell = comparison.cell(strategy, name, evaluation.policy)
                assert cell.score == expected.score
                assert cell.scores == (expected.score,)
                assert cell.spread is None
                assert cell.low == pytest.approx(expected.low, rel=1e-9)
                assert cell.high == pytest.approx(expected.high, rel=1e-9)


def test_a_change_is_the_score_less_the_baseline_s(comparison: Comparison) -> None:
    baseline = comparison.cell("greedy", "rouge1", "mle")
    cell = comparison.cell("greedy", "rouge1", "rouge")
    assert cell.change is not None
    assert cell.score is not None
    assert baseline.score is not None
    assert cell.change.delta == cell.score - baseline.score
    assert cell.change.low is not None
    assert cell.change.high is not None
    assert cell.change.low < cell.change.delta < cell.change.high


def test_the_baseline_has_no_change(comparison: Comparison) -> None:
    assert all((cell.change is None) == (cell.arm == "mle") for cell in comparison.cells)


def effect(comparison: Comparison, metric: str, arm: str) -> str:
    change = comparison.cell("greedy", metric, arm).change
    assert change is not None
    return change.effect


def test_significant_changes_say_their_direction(comparison: Comparison) -> None:
    assert effect(comparison, "rouge1", "rouge") == "better"
    assert effect(comparison, "rouge1", "rule") == "worse"


def test_a_change_by_chance_has_no_effect(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(mle=0.5, rouge=0.5)
    assert effect(comparison, "rouge1", "rouge") == "none"


def test_a_measure_without_better_or_worse_is_only_different(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, rouge = make_evaluations(mle=0.5, rouge=0.5)
    lengths = rouge.evaluations["greedy"].statistics["length_ratio"] * [1.2, 1]
    rouge = replace_statistics(rouge, "length_ratio", lengths, score=1.2)

    comparison = compare(by_arm([mle, rouge]), SETTINGS, seed=3)

    assert effect(comparison, "length_ratio", "rouge") == "different"


def test_identical_outputs_have_no_effect(make_evaluations: MakeEvaluations, by_arm: ByArm) -> None:
    (mle,) = make_evaluations(mle=0.5)
    comparison = compare(by_arm([mle, replace(mle, policy="rouge")]), SETTINGS, seed=3)
    change = comparison.cell("greedy", "rouge1", "rouge").change

    assert change is not None
    assert (change.delta, change.p_value, change.effect) == (0.0, 1.0, "none")


def test_p_values_are_corrected_for_the_arms_of_their_row(
    make_comparison: MakeComparison,
) -> None:
    comparison = make_comparison(mle=0.5, rouge=0.7, rule=0.5, other=0.5)
    change = comparison.cell("greedy", "rouge1", "rouge").change

    assert change is not None
    assert change.p_value == pytest.approx(1 / 401)
    assert change.adjusted_p_value == pytest.approx(3 / 401)


def test_controls_make_no_arm_less_certain_and_are_corrected_for_each_other(
    make_comparison: MakeComparison,
) -> None:
    arms = {"rouge-17": 0.7, "rule-17": 0.5}
    controls = {f"rouge-{kind}-17": 0.3 for kind in KINDS}
    alone = make_comparison(mle=0.5, **arms)
    beside = make_comparison(mle=0.5, **arms, **controls)

    assert beside.families == (("rouge", "rule"), tuple(f"rouge-{x}" for x in KINDS))
    for arm in beside.families[0]:
        cells = (each.cell("greedy", "rouge1", arm) for each in (alone, beside))
        assert next(cells).change == next(cells).change
    for control in beside.families[1]:
        change = beside.cell("greedy", "rouge1", control).change
        assert change is not None
        assert change.p_value == pytest.approx(1 / 401)
        assert change.adjusted_p_value == pytest.approx(3 / 401)


def test_marks_go_by_the_corrected_p_values(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(mle=0.5, **{f"p{place}": 0.5 for place in range(8)})
    changes = [cell.change for cell in comparison.cells if cell.change]
    tested = [(x.p_value or 1.0, x.adjusted_p_value or 1.0, x.effect) for x in changes]

    assert any(p_value < 0.05 <= adjusted for p_value, adjusted, _ in tested)
    assert all((effect != "none") == (adjusted < 0.05) for _, adjusted, effect in tested)


def test_equal_scores_have_no_effect_however_small_the_p_value(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    # 1 - TER is cut off at 0: both are 0, and differ only where a draw holds the first segment
    # four times or more, in 2% of the draws.
    flat = [(2.8, 1.0)] * 60
    evaluations = [
        replace_statistics(evaluation, "ter", np.array(rows), score=0.0)
        for evaluation, rows in zip(
            make_evaluations(mle=0.5, rouge=0.5), [flat, [(0.0, 30.0), *flat[1:]]], strict=True
        )
    ]
    change = compare(by_arm(evaluations), SETTINGS, seed=3).cell("greedy", "ter", "rouge").change

    assert change is not None
    assert change.adjusted_p_value is not None
    assert change.adjusted_p_value < 0.05
    assert (change.delta, change.effect) == (0.0, "none")


def test_trained_on_goes_by_the_recipe_not_by_the_name(comparison: Comparison) -> None:
    trained_on = {(cell.metric, cell.arm) for cell in comparison.cells if cell.trained_on}
    # rouge1 and rouge have the same settings; nothing was measured by "rule".
    assert trained_on == {("rouge1", "rouge"), ("rouge", "rouge")}


def test_the_primary_metric_can_be_chosen(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=100, primary_metric="ter")
    assert make_comparison(settings, mle=0.5, rouge=0.6).verdict.metric == "ter"


def test_an_unknown_primary_metric_is_named(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=100, primary_metric="blue")
    with pytest.raises(SettingsError, match="'blue' was not measured; use rouge1, ter, rouge"):
        make_comparison(settings, mle=0.5)


def test_a_primary_metric_needs_a_better(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=100, primary_metric="length_ratio")
    with pytest.raises(SettingsError, match="neither better nor worse"):
        make_comparison(settings, mle=0.5)


def test_policies_evaluated_on_other_examples_are_refused(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, rouge = make_evaluations(mle=0.5, rouge=0.6)
    rouge = replace(rouge, examples=rouge.examples[::-1])

    with pytest.raises(DataError, match="'mle' and 'rouge-17' .* different test examples"):
        compare(by_arm([mle, rouge]), SETTINGS, seed=3)


def test_policies_decoded_by_other_strategies_are_refused(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, rouge = make_evaluations(mle=0.5, rouge=0.6)
    mle = replace(mle, evaluations={"greedy": mle.evaluations["greedy"]})

    with pytest.raises(DataError, match="different strategies"):
        compare(by_arm([mle, rouge]), SETTINGS, seed=3)


def test_policies_measured_by_other_settings_are_refused(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, rouge = make_evaluations(mle=0.5, rouge=0.6)
    rouge = replace(rouge, metrics={**rouge.metrics, "rouge": rouge.metrics["ter"]})

    with pytest.raises(DataError, match="different metric settings"):
        compare(by_arm([mle, rouge]), SETTINGS, seed=3)


def test_policies_measured_by_another_version_of_an_evaluator_are_refused(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    mle, rouge = make_evaluations(mle=0.5, rouge=0.6)
    found = rouge.evaluations["greedy"]
    measurement = replace(found.measurements["rouge"], signature="rouge|version:0")
    changed = replace(found, measurements={**found.measurements, "rouge": measurement})
    rouge = replace(rouge, evaluations={**rouge.evaluations, "greedy": changed})

    with pytest.raises(DataError, match="different measures; evaluate both again"):
        compare(by_arm([mle, rouge]), SETTINGS, seed=3)


def test_arms_that_were_trained_with_different_seeds_are_refused(
    make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    evaluations = make_evaluations(**{"mle": 0.5, "rouge-17": 0.6, "rule-17": 0.4, "rule-18": 0.4})
    told = "'rouge' and 'rule' were trained with different seeds, 17 and 17, 18; train both"
    with pytest.raises(DataError, match=told):
        by_arm(evaluations)


def test_comparing_twice_says_the_same(make_comparison: MakeComparison) -> None:
    assert make_comparison(mle=0.5, rouge=0.6) == make_comparison(mle=0.5, rouge=0.6)
