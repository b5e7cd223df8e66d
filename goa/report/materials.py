"""All that a report is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from goa.report.comparison import Comparison
from goa.report.entrants import Entrant
from goa.report.history import History
from goa.report.recipe import Recipe
from goa.tracking.cost import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMaterials:
    """A comparison, and what stands beside it on the page."""

    comparison: Comparison
    entrants: Sequence[Entrant] = ()
    """What was compared: every test example with every output; without any, the page shows the
    comparison's exhibits alone."""
    histories: Sequence[History] = ()
    """Of the fine-tuned policies; without any, there are no curves."""
    costs: Sequence[Cost] = ()
    """Of the stages, in running order."""
    recipe: Recipe | None = None
    """None: only what the comparison itself knows is given."""
