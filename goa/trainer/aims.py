"""What fine-tuning minimises, from its settings."""

from goa.objectives.entropy import Entropy
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.table import build_objective
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.update import Aim


def finetuning_aims(settings: FinetuneSettings) -> list[Aim]:
    """Make the terms of the loss; the divergence is the anchor's."""
    return [
        Aim(objective=build_objective(settings.objective)),
        Aim(objective=Entropy(), coefficient=lambda _: settings.entropy_weight),
        Aim(
            objective=Likelihood(LikelihoodSettings(kind="likelihood")),
            coefficient=settings.likelihood_weight_at,
            of_references=True,
        ),
    ]
