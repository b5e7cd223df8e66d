"""The folder of a comparison."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.history import Curve, History
from goa.report.materials import ReportMaterials
from goa.report.report import summarize, write_report
from goa.report.settings import CompareSettings

MakeComparison = Callable[..., Comparison]
MakeEvaluations = Callable[..., list[PolicyEvaluation]]
ByArm = Callable[[Sequence[PolicyEvaluation]], list[Entrant]]
PNG = b"\x89PNG\r\n\x1a\n"

HISTORIES = [
    History(
        policy=policy,
        curves={
            "reward": Curve(updates=(1, 2, 3), values=(0.1, 0.2, 0.3)),
            "validation_reward": Curve(updates=(0, 3), values=(0.1, 0.3)),
            "length": Curve(updates=(1, 2, 3), values=(10.0, 10.5, 11.0)),
        },
    )
    for policy in ("rouge", "rule")
]


def test_the_page_s_pictures_are_there(tmp_path: Path, comparison: Comparison) -> None:
    materials = ReportMaterials(comparison=comparison, histories=HISTORIES)
    write_report(tmp_path / "comparison", materials)
    page = (tmp_path / "comparison" / "report.md").read_text(encoding="utf-8")

    for name in ("effect.png", "reward.png", "length.png"):
        assert f"]({name})" in page
        assert (tmp_path / "comparison" / name).read_bytes().startswith(PNG)


def test_histories_without_the_curves_still_make_pictures(
    tmp_path: Path, comparison: Comparison
) -> None:
    bare = [replace(history, curves={}) for history in HISTORIES]
    write_report(tmp_path, ReportMaterials(comparison=comparison, histories=bare))

    assert (tmp_path / "reward.png").read_bytes().startswith(PNG)
    assert (tmp_path / "length.png").read_bytes().startswith(PNG)


def test_the_baseline_alone_has_no_pictures(
    tmp_path: Path, make_comparison: MakeComparison
) -> None:
    write_report(tmp_path, ReportMaterials(comparison=make_comparison(mle=0.5)))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparison.json",
        "matrix.csv",
        "report.html",
        "report.md",
    ]


def test_the_curves_of_the_page_are_a_table_too(tmp_path: Path, comparison: Comparison) -> None:
    histories = [replace(each, policy=f"{each.policy}-17") for each in HISTORIES]
    write_report(tmp_path, ReportMaterials(comparison=comparison, histories=histories))
    with (tmp_path / "curves.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert {row["curve"] for row in rows} == {"Reward: rouge", "Reward: rule", "Length of outputs"}
    assert [
        (row["line"], row["update"], row["value"]) for row in rows if row["curve"] == "Reward: rule"
    ] == [
        ("rule in training", "1.0", "10.0"),
        ("rule in training", "2.0", "20.0"),
        ("rule in training", "3.0", "30.0"),
        ("rule", "0.0", "10.0"),
        ("rule", "3.0", "30.0"),
    ]


def test_the_matrix_has_a_line_a_cell(tmp_path: Path, comparison: Comparison) -> None:
    write_report(tmp_path, ReportMaterials(comparison=comparison, histories=HISTORIES))
    with (tmp_path / "matrix.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    cell = comparison.cell("beam", "ter", "rule")

    assert len(rows) == len(comparison.cells)
    (found,) = [
        row
        for row in rows
        if (row["strategy"], row["metric"], row["arm"]) == ("beam", "ter", "rule")
    ]
    assert float(found["score"]) == cell.score
    assert found["spread"] == ""
    assert cell.change is not None
    assert float(found["delta"]) == cell.change.delta
    assert float(found["delta_low"]) == cell.change.low
    assert float(found["adjusted_p_value"]) == cell.change.adjusted_p_value
    assert found["effect"] == "worse"
    assert {row["delta"] for row in rows if row["arm"] == "mle"} == {""}


def test_the_summary_names_the_winner_and_every_change(comparison: Comparison) -> None:
    summary = summarize(comparison)
    change = comparison.cell("greedy", "rouge1", "rule").change

    assert change is not None
    assert change.delta is not None
    assert (summary["winner"], summary["strategy"], summary["metric"]) == (
        "rouge",
        "greedy",
        "rouge1",
    )
    assert list(summary["arms"]) == ["rouge", "rule"]
    assert summary["arms"]["rule"]["delta"] == pytest.approx(change.delta, abs=1e-6)
    assert summary["arms"]["rule"]["p_value"] < 0.05


def test_the_summary_says_what_is_left_of_a_gain(make_comparison: MakeComparison) -> None:
    arms = {"rouge-17": 0.7, "rouge-constant-17": 0.6, "rule-17": 0.5}
    comparison = make_comparison(mle=0.5, **arms)
    (left,) = [
        each.left.delta
        for each in comparison.attributions
        if (each.strategy, each.metric) == ("greedy", "rouge1")
    ]
    arms = summarize(comparison)["arms"]

    assert arms["rouge"]["attributable_delta"] == pytest.approx(left, abs=1e-6)
    assert arms["rouge"]["attributable_p_value"] < 0.05
    assert set(arms["rule"]) == set(arms["rouge-constant"]) == {"delta", "p_value"}


def test_quality_against_time_is_drawn_where_times_are_known(
    tmp_path: Path, make_evaluations: MakeEvaluations, by_arm: ByArm
) -> None:
    seconds = {
        (policy, strategy): 0.01 + 0.03 * (strategy == "beam")
        for policy in ("mle", "rouge-17")
        for strategy in ("greedy", "beam")
    }
    entrants = by_arm(make_evaluations(mle=0.5, rouge=0.6))
    comparison = compare(entrants, CompareSettings(resamples=50), 3, seconds)
    write_report(tmp_path, ReportMaterials(comparison=comparison))

    assert (tmp_path / "bar.png").read_bytes().startswith(PNG)
    assert "](bar.png)" in (tmp_path / "report.md").read_text(encoding="utf-8")
