"""Stage ``finetune@E-SEED``: raise the expected score that evaluator E gives a policy's outputs.

``control@E-ARM-SEED`` does the same with rewards that say nothing, or with none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from goa.arms import TrainedPolicy, parse_policy
from goa.data.corpus import open_split
from goa.decoding.settings import GenerateSettings
from goa.errors import EvaluatorError
from goa.evaluation.alarms import save_alarms
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.policies.adapter import add_adapter, merge_adapter
from goa.policies.compute import set_up, use_device
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.rollouts.pooled import PoolChoice, start_from_pool
from goa.settings import read_sections
from goa.trainer.anchor import Anchor
from goa.trainer.contract import TrainingState
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.guards import column, make_guards
from goa.trainer.loop import Trainer
from goa.trainer.phases import Materials, make_phases
from goa.trainer.settings import PretrainSettings
from goa.trainer.team import join_team
from pipelines.arms import training_stage
from pipelines.launch import local_rank, team_size
from pipelines.origin import Origin
from pipelines.scoring import Build, open_scoring
from pipelines.stage import PARAMS, Stage, open_stage, stage_argument
from pipelines.training import save_training, train, trained_policy


def main() -> None:
    """Run the stage."""
    trained = parse_policy(stage_argument())
    with open_stage(training_stage(trained)) as stage:
        finetune(stage, trained)


def finetune(stage: Stage, trained: TrainedPolicy) -> None:
    """Fine-tune the pretrained policy in one arm; keep the best by the evaluator's rewards."""
    params = read_sections(
        PARAMS,
        compute=ComputeSettings,
        generate=GenerateSettings,
        scoring=ScoringSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
        finetune=FinetuneSettings,
        pretrain=PretrainSettings,
    )
    with open_scoring(params.scoring) as build:
        _finetune(stage, trained, params, build)


def _finetune(stage: Stage, goal: TrainedPolicy, params: Any, build: Build) -> None:
    name, seed, control = goal.arm.evaluator, goal.seed, goal.arm.control
    settings: FinetuneSettings = params.finetune
    if control is not None:
        settings = settings.as_control(control)
    first = settings.resolved()[0].settings
    first.check_pool(params.generate)
    settings.check_team(team_size(), fsdp=params.compute.fsdp)
    device = use_device(params.compute, params.compute.threads.finetune, local_rank())
    team = join_team(device, team_size())
    validation = open_split(Path("out/data"), "validation")
    guards = make_guards(settings, validation, seed)
    sharded = params.compute.fsdp and team.size > 1

    def make() -> Policy:
        policy = load_policy(Path("out/policies/mle"), torch.device("cpu") if sharded else device)
        set_up(policy, params.compute, dropout=control == "likelihood")
        if settings.adapter is not None:
            add_adapter(policy, settings.adapter, seed)
        return policy

    policy = make()
    anchor = Anchor(policy, settings.divergence)
    if sharded:
        policy.shard(device, team.size)
        if settings.adapter is None:
            anchor.shard(device, team.size)
    evaluator = build(name, params.evaluators[name])
    judge = None
    if any(learner.refit_every for learner in evaluator.learners()):
        judge = build(name, params.evaluators[name])
        if team.size > 1:
            raise EvaluatorError(
                f"evaluator {name}: learns in one process alone; set compute.processes.finetune to "
                "1, or refit_every to null"
            )
    drops = params.scoring.unscored == "drop"
    corpus = open_split(Path("out/data"), "train")
    choice = PoolChoice(
        strategy=params.generate.names(first.pool_kind)[0],
        greedy=params.generate.names("greedy")[0] if "greedy" in first.needs else None,
        num_sources=settings.sources_per_round,
        seed=seed,
        keeps_silent=first.keeps_silent_sources,
        drops=drops,
        fewest=team.size,
    )
    materials = Materials(
        policy=policy,
        anchor=anchor,
        evaluator=evaluator,
        judge=judge,
        train=corpus,
        validation=validation,
        pool=start_from_pool(
            policy, corpus, Path("out/pool.parquet"), Path(f"out/rewards/{name}.parquet"), choice
        ),
        seed=seed,
        team=team,
        build=build,
        drops=drops,
        control=control,
        likelihood=params.pretrain.objective,
    )
    trainer = Trainer(policy, make_phases(settings, materials), anchor, team, guards)
    num_rounds = sum(phase.settings.rounds for phase in settings.resolved())
    state = train(stage, trainer, num_rounds)
    trained = trained_policy(trainer, make)
    if not team.is_first:
        return
    if settings.adapter is not None and settings.adapter.save == "merged":
        merge_adapter(trained)
    summary = _summary(state, len(materials.pool.silent), list(settings.guards))
    origin = Origin(
        made_of=stage.made_of, measured=summary, trained=goal, signature=evaluator.signature
    )
    save_training(stage, trained, state, origin)
    with stage.output(Path("out/guards") / f"{goal.name}.json") as path:
        save_alarms(path, [] if guards is None else guards.alarms(goal.name, state))
    stage.metrics(Path(f"metrics/finetune/{goal.name}.json"), summary)


def _summary(state: TrainingState, num_silent: int, guards: Sequence[str]) -> dict[str, float]:
    first, last = state.rows[0], state.rows[-1]
    best = next(row for row in reversed(state.rows) if row["update"] == state.best_update)
    names = ["validation_reward", *map(column, guards)]
    looks = {"": best, "_before": first}
    measured = {
        f"{name}{when}": row[name] for name in names for when, row in looks.items() if name in row
    }
    return {
        **measured,
        "best_update": state.best_update,
        "updates": state.update,
        "silent_sources": num_silent,
        "kl": last.get("kl", 0.0),
        "entropy": last.get("entropy", 0.0),
    }


if __name__ == "__main__":
    main()
