"""How strongly a cell of the matrix is coloured."""

from dataclasses import replace
from math import log1p

import pytest

from goa.report.comparison import Comparison
from goa.report.html.heat import heat_of


def test_the_largest_change_is_warmest_and_others_go_by_the_logarithm(
    comparison: Comparison,
) -> None:
    heat = heat_of(comparison, "greedy")
    cells = [cell for cell in comparison.cells if cell.strategy == "greedy" and cell.change]
    directed = [cell for cell in cells if cell.metric != "length_ratio"]
    points = {id(cell): 100 * cell.change.delta for cell in directed}  # type: ignore[union-attr,operator]
    limit = max(map(abs, points.values()))

    assert max(abs(heat(cell)) for cell in directed) == 1.0
    for cell in directed:
        expected = log1p(abs(points[id(cell)])) / log1p(limit)
        assert abs(heat(cell)) == pytest.approx(expected, abs=5e-4)
        assert (heat(cell) > 0) == (points[id(cell)] > 0)


def test_what_has_no_better_or_worse_and_the_baseline_are_not_coloured(
    comparison: Comparison,
) -> None:
    measures = tuple(
        replace(each, higher_is_better=each.name != "rouge1") for each in comparison.measures
    )
    heat = heat_of(replace(comparison, measures=measures), "greedy")
    assert heat(comparison.cell("greedy", "rouge1", "rouge")) == 0
    assert heat(comparison.cell("greedy", "rouge", "rouge")) != 0
    assert heat(comparison.cell("greedy", "rouge", "mle")) == 0
