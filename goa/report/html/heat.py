"""How strongly a cell of the matrix is coloured."""

from collections.abc import Callable
from math import log1p

from goa.report.comparison import Cell, Comparison
from goa.report.numbers import POINTS

LEAST = 1.0
"""The largest change of a matrix counts as at least this many points: noise stays pale."""


def heat_of(comparison: Comparison, strategy: str) -> Callable[[Cell], float]:
    """Say how warm a strategy's cells are: -1 for the largest loss to +1 for the largest gain.

    By the logarithm of one plus the change in points, so that small changes are seen beside large
    ones. 0 where there is no change, no better and worse, or no score.
    """
    directed = {measure.name for measure in comparison.measures if measure.higher_is_better}
    deltas = {
        (cell.metric, cell.arm): POINTS * cell.change.delta
        for cell in comparison.cells
        if cell.strategy == strategy
        and cell.metric in directed
        and cell.change is not None
        and cell.change.delta is not None
    }
    limit = log1p(max([LEAST, *map(abs, deltas.values())]))

    def heat(cell: Cell) -> float:
        delta = deltas.get((cell.metric, cell.arm), 0.0)
        return round((1 if delta > 0 else -1) * log1p(abs(delta)) / limit, 3)

    return heat
