"""Stage ``evaluate@POLICY``: write the test split with one policy, and measure what it wrote.

``evaluate_control@POLICY`` is the same for policies of control arms, ``evaluate_mle`` for the one
before fine-tuning.
"""

import itertools
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from goa.data.corpus import open_split
from goa.data.noise import noised
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import evaluate
from goa.evaluation.peakiness import Peakiness
from goa.evaluation.settings import EvaluateSettings
from goa.evaluation.storage import NOISED, PolicyEvaluation, save_evaluation
from goa.evaluation.teacher_forcing import measure_peakiness
from goa.evaluators.contract import Evaluator, pair_samples
from goa.evaluators.table import EvaluatorName, EvaluatorSettings, build_metric
from goa.policies.compute import set_up, use_device
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.settings import read_sections
from goa.tracking.cost import Work
from pipelines.arms import evaluating_stage
from pipelines.decoding import chosen_texts, num_chosen_tokens, write
from pipelines.scoring import load_learnt
from pipelines.stage import PARAMS, Stage, open_stage, stage_argument

DIGITS = 6
"""Digits of a score that `dvc metrics` shows."""


def main() -> None:
    """Run the stage."""
    name = stage_argument()
    with open_stage(evaluating_stage(name)) as stage:
        evaluate_policy(stage, name)


def evaluate_policy(stage: Stage, name: str) -> None:
    """Decode the test split with every strategy and measure it by metrics and evaluators."""
    params = read_sections(
        PARAMS,
        seed=int,
        compute=ComputeSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
        evaluate=EvaluateSettings,
    )
    settings: EvaluateSettings = params.evaluate
    settings.check_strategies(params.evaluators)
    device = use_device(params.compute, params.compute.threads.evaluate)
    policy = load_policy(Path("out/policies") / name, device)
    set_up(policy, params.compute, dropout=False)
    examples = list(open_split(Path("out/data"), "test"))
    measured_by = settings.measured_by(params.evaluators)
    metrics = [build_metric(metric, found) for metric, found in measured_by.items()]
    evaluators = {metric.name: metric for metric in metrics if isinstance(metric, Evaluator)}
    for evaluator in evaluators.values():
        load_learnt(evaluator)  # before anything is decoded: strategies may choose by it
    outputs: dict[str, tuple[str, ...]] = {}
    read = {"": examples}
    if settings.noise is not None:
        read[NOISED] = noised(examples, settings.noise, params.seed, "test")
    for (condition, sources), (way, strategy) in itertools.product(
        read.items(), settings.strategies_of(name).items()
    ):
        name_of_both, size = way + condition, settings.sources_per_batch
        with stage.progress.task(name_of_both, len(sources), "sources") as task:
            texts, num_tokens, started = [], 0, time.monotonic()
            for start in range(0, len(sources), size):
                batch = sources[start : start + size]
                written = write(policy, batch, strategy, params.seed, evaluators)
                texts += chosen_texts(*written)
                num_tokens += num_chosen_tokens(*written)
                task.advance(len(batch))
            seconds = time.monotonic() - started
        outputs[name_of_both] = tuple(texts)
        stage.work[name_of_both] = Work(seconds=seconds, sentences=len(texts), tokens=num_tokens)
    with stage.progress.task("references", len(examples), "sources") as task:
        peakiness = measure_peakiness(policy, examples, settings.sources_per_batch)
        task.advance(len(examples))
    bootstrap = Bootstrap(
        seed=params.seed, resamples=settings.resamples, confidence=settings.confidence
    )
    evaluation = PolicyEvaluation(
        policy=name,
        bootstrap=bootstrap,
        metrics=measured_by,
        examples=tuple(examples),
        outputs=outputs,
        evaluations={
            strategy: evaluate(pair_samples(examples, texts), metrics, bootstrap)
            for strategy, texts in outputs.items()
        },
        peakiness=peakiness,
    )
    with stage.output(Path("out/evaluations") / name) as folder:
        save_evaluation(folder, evaluation)
    stage.metrics(Path(f"metrics/evaluate/{name}.json"), summarize(evaluation))


def summarize(evaluation: PolicyEvaluation) -> dict[str, Any]:
    """Reduce an evaluation to its scores: strategy -> metric -> score, those there are."""
    scores: dict[str, Any] = {"num_examples": len(evaluation.examples)}
    if evaluation.peakiness is not None:
        scores["peakiness"] = _rounded(evaluation.peakiness)
    for strategy, found in evaluation.evaluations.items():
        scores[strategy] = {
            name: round(measurement.score, DIGITS)
            for name, measurement in found.measurements.items()
            if measurement.score is not None
        }
    return scores


def _rounded(peakiness: Peakiness) -> dict[str, Any]:
    found = asdict(peakiness)
    shares = found.pop("rank_shares")
    return {
        **{name: round(value, DIGITS) for name, value in found.items()},
        "rank_shares": {ranks: round(share, DIGITS) for ranks, share in shares.items()},
    }


if __name__ == "__main__":
    main()
