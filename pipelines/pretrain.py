"""Stage ``pretrain``: maximum likelihood on the training references."""

from pathlib import Path

import torch

from goa.data.corpus import open_split
from goa.objectives.likelihood import Likelihood
from goa.policies.compute import set_up, use_device
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings, PolicySettings
from goa.policies.storage import create_policy
from goa.rollouts.references import ReferencePlan, ReferenceRounds
from goa.settings import read_sections
from goa.trainer.contract import Phase
from goa.trainer.loop import Trainer
from goa.trainer.settings import PretrainSettings
from goa.trainer.team import join_team
from goa.trainer.update import Aim, RolloutLearner, UpdatePlan, Updater
from goa.trainer.validation import LikelihoodValidation
from pipelines.launch import local_rank, team_size
from pipelines.origin import Origin
from pipelines.stage import PARAMS, Stage, no_argument, open_stage
from pipelines.training import save_training, train, trained_policy


def main() -> None:
    """Run the stage."""
    no_argument()
    with open_stage("pretrain") as stage:
        pretrain(stage)


def pretrain(stage: Stage) -> None:
    """Train the policy that everything else starts from; keep the best by validation."""
    params = read_sections(
        PARAMS, seed=int, compute=ComputeSettings, policy=PolicySettings, pretrain=PretrainSettings
    )
    settings: PretrainSettings = params.pretrain
    settings.check_team(team_size())
    device = use_device(params.compute, params.compute.threads.pretrain, local_rank())
    team = join_team(device, team_size())
    sharded = params.compute.fsdp and team.size > 1

    def make() -> Policy:
        place = torch.device("cpu") if sharded else device
        policy = create_policy(params.policy, Path("out/tokenizer"), params.seed, place)
        set_up(policy, params.compute, dropout=True)
        return policy

    policy = make()
    if sharded:
        policy.shard(device, team.size)
    corpus = open_split(Path("out/data"), "train")
    plan = ReferencePlan(
        sources_per_round=settings.sources_per_update, epochs=settings.epochs, seed=params.seed
    )
    rounds = ReferenceRounds(policy, corpus, plan, team.share)
    validate = LikelihoodValidation(
        policy, open_split(Path("out/data"), "validation"), settings.validation.num_sources, team
    )
    aims = [Aim(objective=Likelihood(settings.objective))]
    updater = Updater(policy, aims, UpdatePlan(seed=params.seed, dropout=True), team=team)
    phase = Phase(
        learner=RolloutLearner(rounds, updater),
        validate=validate,
        optimiser=settings.optimiser,
        validation=settings.validation,
    )
    trainer = Trainer(policy, [lambda: phase], team=team)
    state = train(stage, trainer, len(rounds))
    trained = trained_policy(trainer, make)
    if not team.is_first:
        return
    summary = {
        "validation_loss": -state.best_score,
        "best_update": state.best_update,
        "updates": state.update,
        "parameters": sum(tensor.numel() for tensor in trainer.parameters.values()),
    }
    save_training(stage, trained, state, Origin(made_of=stage.made_of, measured=summary))
    stage.metrics(Path("metrics/pretrain.json"), summary)


if __name__ == "__main__":
    main()
