"""The comparison in a terminal."""

from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from goa.report.comparison import Comparison
from goa.report.terminal import alarm_lines, bar_line, comparison_table, verdict_line
from tests.comparisons import make_alarm

MakeComparison = Callable[..., Comparison]


def render(comparison: Comparison) -> list[str]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(comparison_table(comparison))
        console.print(verdict_line(comparison))
    return capture.get().splitlines()


def test_a_row_a_measure_and_a_column_an_arm(comparison: Comparison) -> None:
    lines = render(comparison)
    (header,) = [line for line in lines if "measured by" in line]
    (row,) = [line for line in lines if line.split()[:1] == ["rouge1"]]
    scores = [comparison.cell("greedy", "rouge1", arm).score or 0.0 for arm in comparison.names]
    mle, rouge, rule = (f"{100 * score:.2f}" for score in scores)

    assert header.split() == ["measured", "by", "mle", "rouge", "rule"]
    assert row.split() == ["rouge1", mle, rouge, "▲", rule, "▼"]


def test_four_arms_fit_into_a_hundred_columns(make_comparison: MakeComparison) -> None:
    comparison = make_comparison(mle=0.5, rouge=0.6, rule=0.4, sentiment_consistency=0.5)
    lines = render(comparison)

    assert max(len(line) for line in lines) <= 100
    assert not any("…" in line for line in lines)


def test_the_verdict_is_green_only_for_a_winner(make_comparison: MakeComparison) -> None:
    assert "green" in str(verdict_line(make_comparison(mle=0.5, rouge=0.7)).style)
    assert "green" not in str(verdict_line(make_comparison(mle=0.5, rouge=0.3)).style)


def test_the_bar_is_told_once(make_comparison: MakeComparison) -> None:
    won, lost = make_comparison(mle=0.5, rouge=0.7), make_comparison(mle=0.5, rouge=0.3)

    assert str(bar_line(won)).startswith("Training was worth it")
    assert bar_line(lost) is None
    assert "Training was not worth it" in str(verdict_line(lost))


def test_without_arms_there_is_no_bar_to_tell_of(make_comparison: MakeComparison) -> None:
    assert bar_line(make_comparison(mle=0.5)) is None


def test_a_guard_that_fell_is_told(make_comparison: MakeComparison) -> None:
    quiet = make_comparison(mle=0.5, rouge=0.7)
    (line,) = alarm_lines(replace(quiet, alarms=(make_alarm(began=2000),)))

    assert list(alarm_lines(quiet)) == []
    assert str(line) == (
        "⚑ chrf fell while the reward rose, in rule-1 from update 2,000 on: 50.00 to 40.00; "
        "kept: the policy of update 10"
    )
