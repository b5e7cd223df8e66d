"""The folder that a comparison is written into."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goa.report.comparison import Comparison, save_comparison
from goa.report.html.page import render_html
from goa.report.markdown import render_markdown
from goa.report.materials import ReportMaterials
from goa.report.pictures import draw_effects, draw_lengths, draw_rewards


def write_report(folder: Path, materials: ReportMaterials) -> None:
    """Write comparison.json, matrix.csv, report.html, and report.md with its pictures.

    The folder is made if it is not there. Without histories there are no pictures.
    """
    comparison, histories = materials.comparison, materials.histories
    folder.mkdir(parents=True, exist_ok=True)
    save_comparison(folder / "comparison.json", comparison)
    write_matrix(folder / "matrix.csv", comparison)
    (folder / "report.html").write_text(render_html(materials), encoding="utf-8")
    pictures: dict[str, str] = {}
    if histories:
        draw_effects(folder / "effect.png", comparison)
        draw_rewards(folder / "reward.png", histories)
        draw_lengths(folder / "length.png", histories)
        pictures = {
            f"Change from {comparison.baseline} by every measure": "effect.png",
            "Reward over training": "reward.png",
            "Length of outputs over training": "length.png",
        }
    page = render_markdown(comparison, pictures)
    (folder / "report.md").write_text(page, encoding="utf-8")


def write_matrix(path: Path, comparison: Comparison) -> None:
    """Write one line a cell: strategy, arm, metric, score, low, high (empty where missing)."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["strategy", "arm", "metric", "score", "low", "high"])
        for cell in comparison.cells:
            writer.writerow([cell.strategy, cell.arm, cell.metric, cell.score, cell.low, cell.high])


def summarize(comparison: Comparison) -> Mapping[str, Any]:
    """Reduce a comparison to what DVC shows: the winner, and every arm by the verdict's cell."""
    verdict = comparison.verdict
    cells = [comparison.cell(verdict.strategy, verdict.metric, arm) for arm in comparison.names[1:]]
    return {
        "winner": verdict.winner,
        "strategy": verdict.strategy,
        "metric": verdict.metric,
        "arms": {
            cell.arm: {
                "delta": round(cell.change.delta, 6),
                "p_value": round(cell.change.adjusted_p_value, 6),
            }
            for cell in cells
            if cell.change
            and cell.change.delta is not None
            and cell.change.adjusted_p_value is not None
        },
    }
