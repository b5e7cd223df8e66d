"""Every objective by its name in params.yaml."""

from typing import Annotated

from pydantic import Field

from goa.objectives.contract import Objective
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings

ObjectiveSettings = Annotated[LikelihoodSettings | ReinforceSettings, Field(discriminator="kind")]


def build_objective(settings: LikelihoodSettings | ReinforceSettings) -> Objective:
    """Build the objective that settings describe."""
    if isinstance(settings, LikelihoodSettings):
        return Likelihood(settings)
    return Reinforce(settings)
