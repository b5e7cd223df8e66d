"""The objectives of fine-tuning, by their name in params.yaml.

Likelihood is not among them: it would learn from every candidate alike, whatever it earned.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from goa.objectives.best_of_n import BestOfN, BestOfNSettings
from goa.objectives.contract import Objective
from goa.objectives.dpo import Dpo, DpoSettings
from goa.objectives.grpo import Grpo, GrpoSettings
from goa.objectives.margin import Margin, MarginSettings
from goa.objectives.mixer import Mixer, MixerSettings
from goa.objectives.mrt import Mrt, MrtSettings
from goa.objectives.ppo import Ppo, PpoSettings
from goa.objectives.raml import Raml, RamlSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings

OBJECTIVES: dict[type, Callable[[Any], Objective]] = {
    ReinforceSettings: Reinforce,
    GrpoSettings: Grpo,
    PpoSettings: Ppo,
    MrtSettings: Mrt,
    MarginSettings: Margin,
    MixerSettings: Mixer,
    RamlSettings: Raml,
    BestOfNSettings: BestOfN,
    DpoSettings: Dpo,
}
ObjectiveSettings = Annotated[
    ReinforceSettings
    | GrpoSettings
    | PpoSettings
    | MrtSettings
    | MarginSettings
    | MixerSettings
    | RamlSettings
    | BestOfNSettings
    | DpoSettings,
    Field(discriminator="kind"),
]


def build_objective(settings: ObjectiveSettings) -> Objective:
    """Build the objective that settings describe."""
    return OBJECTIVES[type(settings)](settings)
