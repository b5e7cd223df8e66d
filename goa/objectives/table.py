"""The objectives of fine-tuning, by their name in params.yaml.

Likelihood is not among them: it would learn from every candidate alike, whatever it earned.
"""

from goa.objectives.contract import Objective
from goa.objectives.reinforce import Reinforce, ReinforceSettings

ObjectiveSettings = ReinforceSettings


def build_objective(settings: ObjectiveSettings) -> Objective:
    """Build the objective that settings describe."""
    return Reinforce(settings)
