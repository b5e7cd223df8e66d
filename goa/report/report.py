"""The folder that a comparison is written into."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goa.report.change import Change
from goa.report.comparison import Comparison, save_comparison
from goa.report.html.chart import Chart
from goa.report.html.curves import curve_charts, line_name
from goa.report.html.page import render_html
from goa.report.markdown import render_markdown
from goa.report.materials import ReportMaterials
from goa.report.pictures import draw_bar, draw_effects, draw_lengths, draw_rewards

CELL_COLUMNS = ("strategy", "arm", "metric", "score", "spread", "low", "high")
CHANGE_COLUMNS = {
    "delta": "delta",
    "low": "delta_low",
    "high": "delta_high",
    "p_value": "p_value",
    "adjusted_p_value": "adjusted_p_value",
    "seeds_p_value": "seeds_p_value",
    "adjusted_seeds_p_value": "adjusted_seeds_p_value",
    "effect": "effect",
}
"""Columns of matrix.csv, by what they hold of a change."""
CURVE_COLUMNS = ("curve", "unit", "arm", "line", "update", "value", "low", "high")


def write_report(folder: Path, materials: ReportMaterials) -> None:
    """Write comparison.json, matrix.csv, curves.csv, report.html, and report.md with its pictures.

    The folder is made if it is not there. Without histories there are no pictures, and no curves.
    """
    comparison, histories = materials.comparison, materials.histories
    folder.mkdir(parents=True, exist_ok=True)
    save_comparison(folder / "comparison.json", comparison)
    write_matrix(folder / "matrix.csv", comparison)
    (folder / "report.html").write_text(render_html(materials), encoding="utf-8")
    pictures: dict[str, str] = {}
    if charts := curve_charts(comparison, histories):
        write_curves(folder / "curves.csv", charts)
    if histories:
        draw_effects(folder / "effect.png", comparison)
        draw_rewards(folder / "reward.png", histories)
        draw_lengths(folder / "length.png", histories)
        pictures = {
            f"Change from {comparison.baseline} by every measure": "effect.png",
            "Reward over training": "reward.png",
            "Length of outputs over training": "length.png",
        }
    if comparison.bar and any(point.seconds is not None for point in comparison.bar.points):
        draw_bar(folder / "bar.png", comparison.bar)
        pictures["Quality against time a sentence"] = "bar.png"
    page = render_markdown(comparison, pictures, materials.costs)
    (folder / "report.md").write_text(page, encoding="utf-8")


def write_matrix(path: Path, comparison: Comparison) -> None:
    """Write one line a cell, with its change from the baseline; empty where there is none."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*CELL_COLUMNS, *CHANGE_COLUMNS.values()])
        for cell in comparison.cells:
            change = [
                None if cell.change is None else getattr(cell.change, name)
                for name in CHANGE_COLUMNS
            ]
            writer.writerow([*(getattr(cell, name) for name in CELL_COLUMNS), *change])


def write_curves(path: Path, charts: Sequence[Chart]) -> None:
    """Write the charts of training, a line a point, as ``dvc plots`` draws them.

    The band reaches from low to high; of one seed alone both are the value.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CURVE_COLUMNS)
        for chart in charts:
            for each in chart.series:
                band = {x: ends for x, *ends in each.band}
                named = (chart.title, chart.y_name, each.arm, line_name(each))
                writer.writerows((*named, x, y, *band.get(x, (y, y))) for x, y in each.points)


def summarize(comparison: Comparison) -> Mapping[str, Any]:
    """Reduce a comparison to what DVC shows: the winner, and every arm by the verdict's cell.

    An arm that has controls has besides what is left of its gain without the best of them.
    """
    verdict = comparison.verdict
    cells = [comparison.cell(verdict.strategy, verdict.metric, arm) for arm in comparison.names[1:]]
    left = {
        each.arm: each.left
        for each in comparison.attributions
        if (each.strategy, each.metric) == (verdict.strategy, verdict.metric)
    }
    return {
        "winner": verdict.winner,
        "strategy": verdict.strategy,
        "metric": verdict.metric,
        "arms": {
            cell.arm: _told(cell.change, "") | _told(left.get(cell.arm), "attributable_")
            for cell in cells
            if _told(cell.change, "")
        },
    }


def _told(change: Change | None, of: str) -> dict[str, float]:
    """Give a change with its p-value, under names that say of what; nothing where it has none."""
    if change is None or change.delta is None or change.adjusted_p_value is None:
        return {}
    return {
        f"{of}delta": round(change.delta, 6),
        f"{of}p_value": round(change.adjusted_p_value, 6),
    }
