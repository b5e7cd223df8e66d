"""How sure each arm's policies are of the next token."""

from collections.abc import Sequence

from goa.evaluation.peakiness import mean_peakiness
from goa.report.entrants import Entrant
from goa.report.evidence import ArmPeakiness


def peakiness_by_arm(entrants: Sequence[Entrant]) -> tuple[ArmPeakiness, ...]:
    """Average over the policies of each arm; nothing where it was not measured of all of them."""
    found = []
    for entrant in entrants:
        measured = [each.peakiness for each in entrant.evaluations if each.peakiness is not None]
        if len(measured) < len(entrant.evaluations):
            return ()
        found.append(ArmPeakiness(arm=entrant.arm.name, peakiness=mean_peakiness(measured)))
    return tuple(found)
