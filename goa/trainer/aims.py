"""What fine-tuning minimises, from its settings."""

from goa.objectives.credit import AttentionCreditSettings, CreditHead
from goa.objectives.critic import Critic
from goa.objectives.entropy import Entropy
from goa.objectives.head import Head
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.table import build_objective
from goa.policies.policy import Policy
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.settings import EvolutionSettings
from goa.trainer.update import Aim


def finetuning_aims(settings: FinetuneSettings, policy: Policy, seed: int) -> list[Aim]:
    """Make the terms of the loss, the heads they need included; the divergence is the anchor's.

    Evolution has no loss.
    """
    if isinstance(settings.objective, EvolutionSettings):
        return []
    objective = build_objective(settings.objective)
    heads: list[Head] = []
    if "critic" in objective.needs:
        heads.append(Critic(settings.critic, policy.state_size, seed))
    if isinstance(settings.credit, AttentionCreditSettings):
        heads.append(CreditHead(settings.credit, policy.state_size, seed))
    for head in heads:
        head.network.to(policy.device)
    return [
        Aim(objective=objective),
        Aim(objective=Entropy(), coefficient=lambda _: settings.entropy_weight),
        Aim(
            objective=Likelihood(LikelihoodSettings(kind="likelihood")),
            coefficient=settings.likelihood_weight_at,
            of_references=True,
        ),
        *(Aim(objective=head) for head in heads),
    ]
