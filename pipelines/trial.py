"""One evaluator on trial: asked about what the policy wrote, and about texts that nobody wants."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from goa.data.pool import Reward
from goa.errors import EvaluatorError, first_line
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.gameability import Rewards, Written, probe
from goa.evaluation.readiness import Cost, Findings, Readiness, Signal, failed, judge
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.scoring import ScoringService, ScoringSettings
from goa.evaluators.workers import Builder
from goa.randomness import generator
from goa.records import Sample
from pipelines.score import summarize
from pipelines.scoring import load_learnt

REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every evaluator is tried on."""

    sampled: tuple[Written, ...]
    """The first sources of the pool with all that was sampled for them."""
    greedy: tuple[Sample, ...]
    """Their greedy candidates, if the pool has some."""
    texts: dict[str, tuple[str, ...]]
    """The first reference of each source, and every kind of unwanted text."""
    scoring: ScoringSettings
    """How evaluators are asked: no process, so that what is timed is one evaluator's work."""
    seed: int
    """Of orders and draws."""
    price_per_hour: float | None
    """Of the machine."""


def try_evaluator(name: str, builder: Builder, ground: Ground) -> Readiness:
    """Measure an evaluator, and judge it; one that fails is judged by that."""
    try:
        findings = _measure(name, builder, ground)
    except EvaluatorError as error:
        return failed(error)
    return judge(findings, drops=ground.scoring.unscored == "drop")


def _measure(name: str, builder: Builder, ground: Ground) -> Findings:
    started = time.perf_counter()
    evaluator = _build(name, builder, ground.scoring)
    first = ground.sampled[0].example
    checked_score(evaluator, [Sample(example=first, candidate=first.references[0])])
    loading = time.perf_counter() - started
    samples = [
        Sample(example=written.example, candidate=text)
        for written in ground.sampled
        for text in written.candidates
    ]
    started = time.perf_counter()
    values = checked_score(evaluator, samples).values
    spent = time.perf_counter() - started
    remaining = iter(values)
    rewards = [[next(remaining) for _ in written.candidates] for written in ground.sampled]
    greedy = checked_score(evaluator, ground.greedy).values if ground.greedy else ()
    bootstrap = Bootstrap(seed=ground.seed)
    probed = probe(evaluator, ground.sampled, rewards, ground.texts, bootstrap)
    return Findings(
        signature=evaluator.signature,
        signal=_describe(rewards, greedy),
        cost=_cost(_num_scored(evaluator, samples), spent, loading, ground.price_per_hour),
        draws=evaluator.draws,
        reference=probed.pop(REFERENCE),
        probes=probed,
        # Last, so that two of a kind are not in memory together.
        largest_difference=_largest_difference(
            values, _score_again(_build(name, builder, ground.scoring), samples, ground.seed)
        ),
    )


def _build(name: str, builder: Builder, scoring: ScoringSettings) -> Evaluator:
    """Build an evaluator as stages have it, but without store and processes.

    Raises:
        EvaluatorError: whatever is wrong with it.
    """
    try:
        evaluator = ScoringService(name, builder, scoring, folder=None)
        load_learnt(evaluator)
    except EvaluatorError:
        raise
    except Exception as error:
        raise EvaluatorError(
            f"evaluator {name}: cannot be built: {type(error).__name__}: {first_line(error)}"
        ) from error
    return evaluator


def _num_scored(evaluator: Evaluator, samples: Sequence[Sample]) -> int:
    """Count what the evaluator saw of samples: each once, unless it reads the batch or draws."""
    return len(samples) if evaluator.reads_batch or evaluator.draws else len(set(samples))


def _cost(rewards: int, spent: float, loading: float, price_per_hour: float | None) -> Cost:
    seconds = 1000 * spent / rewards
    return Cost(
        rewards=rewards,
        seconds=seconds,
        cold_seconds=seconds + loading,
        price=None if price_per_hour is None else price_per_hour * seconds / 3600,
    )


def _score_again(
    evaluator: Evaluator, samples: Sequence[Sample], seed: int
) -> Sequence[float | None]:
    """Score samples in another order; the scores come in the samples' own."""
    order = generator(seed, "preflight order").permutation(len(samples)).tolist()
    values = checked_score(evaluator, [samples[place] for place in order]).values
    by_place = dict(zip(order, values, strict=True))
    return [by_place[place] for place in range(len(samples))]


def _largest_difference(first: Sequence[float | None], second: Sequence[float | None]) -> float:
    """Compare two scorings; a score that came only once is as different as can be."""
    return max(
        float(one is not other) if one is None or other is None else abs(one - other)
        for one, other in zip(first, second, strict=True)
    )


def _describe(rewards: Rewards, greedy: Sequence[float | None]) -> Signal:
    """Describe rewards [B][K] as the score stage does, and what that leaves out."""
    sources = (
        [
            Reward(example_id=str(place), strategy="sampled", rank=rank, reward=value)
            for rank, value in enumerate(row)
        ]
        for place, row in enumerate(rewards)
    )
    summary = summarize(sources)["sampled"]
    rewarded = [[value for value in row if value is not None] for row in rewards]
    known = [value for row in rewarded for value in row]
    typical = [value for value in greedy if value is not None]
    return Signal(
        candidates=sum(map(len, rewards)),
        per_source=max(map(len, rewards)),
        without_reward=sum(map(len, rewards)) - len(known),
        mean=summary["mean_reward"],
        median=median(known) if known else None,
        best=fmean(max(row) for row in rewarded if row) if known else None,
        headroom=summary["best_of_k_headroom"],
        spread=summary["spread"],
        silent=summary["silent_sources"],
        greedy=fmean(typical) if typical else None,
    )
