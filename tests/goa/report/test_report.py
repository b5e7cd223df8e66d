"""The folder of a comparison."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from goa.report.comparison import Comparison
from goa.report.history import Curve, History
from goa.report.materials import ReportMaterials
from goa.report.report import summarize, write_report

MakeComparison = Callable[..., Comparison]
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


def test_the_matrix_has_a_line_a_cell(tmp_path: Path, comparison: Comparison) -> None:
    write_report(tmp_path, ReportMaterials(comparison=comparison, histories=HISTORIES))
    with (tmp_path / "matrix.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    cell = comparison.cell("beam", "ter", "rule")

    assert len(rows) == len(comparison.cells)
    assert list(rows[0]) == ["strategy", "arm", "metric", "score", "low", "high"]
    (found,) = [
        row
        for row in rows
        if (row["strategy"], row["metric"], row["arm"]) == ("beam", "ter", "rule")
    ]
    assert float(found["score"]) == cell.score


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
