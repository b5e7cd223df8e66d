"""Curves and trade-offs of arms, from what their policies logged."""

from collections.abc import Callable, Sequence

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.evidence import Bar, BarPoint
from goa.report.history import Curve, History
from goa.report.html.curves import curve_charts, over_seeds, thinned
from goa.report.html.styles import arm_styles
from goa.report.html.tradeoffs import frontier, frontier_charts, time_chart
from goa.report.settings import CompareSettings

ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]
MakeEvaluations = Callable[..., list[PolicyEvaluation]]


@pytest.fixture
def two_seeds(make_evaluations: MakeEvaluations, by_arm: ByArm) -> Comparison:
    centers = {"mle": 0.5} | {
        f"{arm}-{seed}": 0.5 for arm in ("rouge", "rouge-constant", "rule") for seed in (1, 2)
    }
    settings = CompareSettings(resamples=50, num_examples=2)
    return compare(by_arm(make_evaluations(**centers)), settings, 3)


def history(policy: str, **curves: tuple[float, ...]) -> History:
    return History(
        policy=policy,
        curves={
            name: Curve(updates=tuple(range(len(values))), values=values)
            for name, values in curves.items()
        },
    )


def test_seeds_are_put_together_where_all_of_them_logged() -> None:
    one = Curve(updates=(0, 1, 3), values=(1.0, 2.0, 4.0))
    other = Curve(updates=(1, 2, 3), values=(4.0, 9.0, 0.0))
    assert over_seeds([one, other]) == [(1.0, 2.0, 3.0, 4.0), (3.0, 0.0, 2.0, 4.0)]


def test_long_runs_are_averaged_over_equally_many_neighbours() -> None:
    rows = [(float(x), x - 1.0, float(x), x + 1.0) for x in range(240)]
    found = thinned(rows)
    assert len(found) == 120
    assert found[0] == (0.5, -0.5, 0.5, 1.5)
    assert thinned(rows[:120]) == rows[:120]


def test_each_evaluator_has_a_chart_of_its_reward_with_its_controls(two_seeds) -> None:
    histories = [
        history(f"{arm}-{seed}", reward=(0.1, 0.2), validation_reward=(0.3, 0.4))
        for arm in ("rouge", "rouge-constant", "rule")
        for seed in (1, 2)
    ]
    rouge, rule = curve_charts(two_seeds, histories)

    assert (rouge.title, rule.title) == ("Reward: rouge", "Reward: rule")
    # A control is paid otherwise: what it was paid is not drawn.
    assert [each.arm for each in rouge.series] == ["rouge", "rouge", "rouge-constant"]
    assert rouge.series[1].points == ((0.0, 30.0), (1.0, 40.0))
    assert rouge.series[1].band == ((0.0, 30.0, 30.0), (1.0, 40.0, 40.0))


def test_guards_are_the_other_validation_columns(two_seeds) -> None:
    logged = {"validation_chrf": (0.5,), "validation_length": (9.0,), "kl": (0.1,)}
    titles = [each.title for each in curve_charts(two_seeds, [history("rule-1", **logged)])]
    assert titles == ["Guard: chrf", "Divergence", "Length of outputs"]


def test_without_histories_there_are_no_charts(two_seeds) -> None:
    assert curve_charts(two_seeds, []) == ()
    assert frontier_charts(two_seeds, []) == ()


def test_a_look_stands_at_the_mean_divergence_since_the_one_before() -> None:
    divergence = Curve(updates=(1, 2, 3, 4), values=(1.0, 3.0, 5.0, 7.0))
    reward = Curve(updates=(0, 2, 4), values=(0.1, 0.2, 0.3))
    assert frontier(divergence, reward) == [(0.0, 0.1), (2.0, 0.2), (6.0, 0.3)]


def test_a_look_between_which_no_divergence_was_logged_is_left_out() -> None:
    reward = Curve(updates=(2, 4), values=(0.2, 0.3))
    assert frontier(Curve(updates=(4,), values=(1.0,)), reward) == [(1.0, 0.3)]


def test_a_frontier_has_a_line_a_policy(two_seeds) -> None:
    logged = {"kl": (0.0, 1.0), "validation_reward": (0.1, 0.2)}
    histories = [history("rouge-1", **logged), history("rouge-2", **logged)]
    (chart,) = frontier_charts(two_seeds, histories)
    assert [each.arm for each in chart.series] == ["rouge-1", "rouge-2"]
    assert chart.series[0].points == ((0.0, 10.0), (1.0, 20.0))


def test_quality_stands_against_time_where_both_are_known(two_seeds) -> None:
    known = BarPoint(arm="mle", strategy="greedy", score=0.5, low=0.4, high=0.6, seconds=0.01)
    unknown = BarPoint(arm="rouge", strategy="beam", score=0.5, low=0.4, high=0.6, seconds=None)
    bar = Bar(
        metric="m",
        points=(known, unknown),
        trained=None,
        any_time=None,
        same_time=None,
        sentence="s",
    )
    chart = time_chart(two_seeds, bar)
    assert chart is not None
    (series,) = chart.series
    assert (series.arm, series.points, series.labels) == ("mle", ((10.0, 50.0),), ("greedy",))
    assert series.bars == ((10.0, 40.0, 60.0),)


def test_an_evaluator_is_a_colour_and_a_control_a_dash(two_seeds) -> None:
    assert arm_styles(two_seeds) == {
        "mle": "base",
        "rouge": "c0",
        "rouge-constant": "c0 constant",
        "rule": "c1",
    }
