"""Stage ``finetune@E``: raise the expected score that evaluator E gives the policy's outputs."""

from pathlib import Path

from goa.data.corpus import open_split
from goa.decoding.settings import GenerateSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings, build_evaluator
from goa.policies.adapter import add_adapter, merge_adapter
from goa.policies.compute import use_device
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.rollouts.candidates import CandidateRounds, CandidateWriter, RolloutNeeds, RoundPlan
from goa.rollouts.pooled import PoolChoice, start_from_pool
from goa.settings import read_sections
from goa.trainer.aims import finetuning_aims
from goa.trainer.anchor import Anchor
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.loop import Trainer, TrainingState
from goa.trainer.reward_validation import RewardValidation
from goa.trainer.update import Updater
from pipelines.stage import PARAMS, Stage, open_stage, stage_argument
from pipelines.training import save_training, train


def main() -> None:
    """Run the stage."""
    name = stage_argument()
    with open_stage(f"finetune@{name}") as stage:
        finetune(stage, name)


def finetune(stage: Stage, name: str) -> None:
    """Fine-tune the pretrained policy on one evaluator; keep the best by validation reward."""
    params = read_sections(
        PARAMS,
        seed=int,
        compute=ComputeSettings,
        generate=GenerateSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
        finetune=FinetuneSettings,
    )
    settings: FinetuneSettings = params.finetune
    settings.check_pool(params.generate)
    device = use_device(params.compute, params.compute.threads.finetune)
    policy = load_policy(Path("out/policies/mle"), device)
    if settings.adapter is not None:
        add_adapter(policy, settings.adapter, params.seed)
    evaluator = build_evaluator(name, params.evaluators[name])
    aims = finetuning_aims(settings, policy, params.seed)
    needs = RolloutNeeds(
        greedy="greedy" in settings.needs,
        references=settings.learns_from_references,
        reference_among_candidates=settings.with_reference,
        credits=settings.credit.kind == "reward_to_go",
        prefix_share=settings.prefix_share,
    )
    corpus = open_split(Path("out/data"), "train")
    choice = PoolChoice(
        strategy=params.generate.names(settings.candidates.kind)[0],
        greedy=params.generate.names("greedy")[0] if needs.greedy else None,
        num_sources=settings.sources_per_round,
        seed=params.seed,
    )
    start = start_from_pool(
        policy, corpus, Path("out/pool.parquet"), Path(f"out/rewards/{name}.parquet"), choice
    )
    writer = CandidateWriter(policy, evaluator, settings.candidates, needs)
    first = None
    if needs.prefix_share is None:
        first = writer.complete(start.rollout, start.examples, params.seed)
    plan = RoundPlan(
        num_rounds=settings.rounds, sources_per_round=settings.sources_per_round, seed=params.seed
    )
    silent = start.silent if settings.skip_silent_sources else frozenset[str]()
    rounds = CandidateRounds(writer, corpus, first, silent, plan)
    validate = RewardValidation(
        policy,
        evaluator,
        open_split(Path("out/data"), "validation"),
        settings.validation.num_sources,
        settings.candidates.max_tokens,
    )
    anchor = Anchor(policy, settings.divergence)
    updater = Updater(
        policy,
        aims,
        params.seed,
        dropout=False,
        anchor=anchor,
        steps_per_round=settings.steps_per_round,
    )
    trainer = Trainer(updater, settings.optimiser)
    state = train(stage, trainer, rounds, validate, settings.validation)
    if settings.adapter is not None and settings.adapter.save == "merged":
        merge_adapter(policy)
    save_training(stage, trainer, state, name)
    stage.metrics(Path(f"metrics/finetune/{name}.json"), _summary(state, len(silent)))


def _summary(state: TrainingState, num_silent: int) -> dict[str, float]:
    last = state.rows[-1]
    return {
        "validation_reward": state.best_score,
        "validation_reward_before": state.rows[0]["validation_reward"],
        "best_update": state.best_update,
        "updates": state.update,
        "silent_sources": num_silent,
        "kl": last.get("kl", 0.0),
        "entropy": last.get("entropy", 0.0),
    }


if __name__ == "__main__":
    main()
