"""Stage ``score@E``: what evaluator E thinks of the candidate pool."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goa.data.corpus import open_split
from goa.data.pool import Candidate, Reward, read_pool, read_rewards, write_rewards
from goa.errors import DataError
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.records import Example, Sample
from goa.settings import read_sections
from goa.tracking.cost import Work
from goa.tracking.progress import Task
from pipelines.scoring import LEARNT, open_scoring
from pipelines.stage import PARAMS, Stage, open_stage, stage_argument

POOL = Path("out/pool.parquet")
CANDIDATES_PER_BATCH = 512
SOURCES_LEARNT_FROM = 10_000
"""Of the pool; an evaluator that learns has their candidates in memory."""

Pair = tuple[Example, Candidate]
"""A candidate beside the example it was written for."""


def main() -> None:
    """Run the stage."""
    name = stage_argument()
    with open_stage(f"score@{name}") as stage:
        score_pool(stage, name)


def score_pool(stage: Stage, name: str) -> None:
    """Score every candidate of the pool, in the pool's order, and summarise."""
    params = read_sections(
        PARAMS,
        seed=int,
        scoring=ScoringSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
    )
    settings = params.evaluators[name]
    with open_scoring(params.scoring, learnt=False) as build:
        evaluator = build(name, settings)
        corpus = open_split(Path("out/data"), "train")
        learnt = _learn(evaluator, corpus, params.seed)
        with stage.output(LEARNT / name) as folder:
            folder.mkdir()
            for learner in evaluator.learners():
                learner.save(folder)
            record = {"signature": evaluator.signature, "settings": settings.model_dump()}
            text = json.dumps(record, indent=2, ensure_ascii=False)
            (folder / "evaluator.json").write_text(text + "\n", encoding="utf-8")
        _score_pool(stage, evaluator, corpus, learnt)


def _learn(
    evaluator: Evaluator, corpus: Iterable[Example], seed: int
) -> dict[str, Mapping[str, float]]:
    """Let what learns do so, from the pool's first sources; say how well, by name."""
    if not evaluator.learners():
        return {}
    sources = islice(read_pool(POOL), SOURCES_LEARNT_FROM)
    samples = [
        Sample(example=example, candidate=written.text)
        for example, written in pair_with_examples(sources, corpus)
    ]
    return {
        learner.name: learner.learn(samples, seed, anew=True) for learner in evaluator.learners()
    }


def _score_pool(
    stage: Stage,
    evaluator: Evaluator,
    corpus: Iterable[Example],
    learnt: Mapping[str, Mapping[str, float]],
) -> None:
    name = evaluator.name
    rewards = Path(f"out/rewards/{name}.parquet")
    num_candidates, num_tokens = _size(POOL)
    started = time.monotonic()
    with (
        stage.progress.task(stage.name, num_candidates, "candidates") as task,
        stage.output(rewards) as path,
    ):
        batches = score_batches(evaluator, pair_with_examples(read_pool(POOL), corpus))
        write_rewards(path, _follow(batches, task))
    seconds = time.monotonic() - started
    stage.work["scoring"] = Work(seconds=seconds, sentences=num_candidates, tokens=num_tokens)
    stage.spool.metrics(0, {"candidates_per_second": num_candidates / seconds})
    summary: dict[str, Any] = summarize(read_rewards(rewards))
    stage.metrics(Path(f"metrics/score/{name}.json"), {**summary, **learnt})


def pair_with_examples(
    pool: Iterable[Sequence[Candidate]], corpus: Iterable[Example]
) -> Iterator[Pair]:
    """Find the example of every candidate, in one pass: the pool is in the corpus's order.

    Raises:
        DataError: the pool has an example that the corpus has not, or has elsewhere.
    """
    examples = iter(corpus)
    for candidates in pool:
        wanted = candidates[0].example_id
        example = next((example for example in examples if example.id == wanted), None)
        if example is None:
            raise DataError(
                f"{POOL}: example {wanted!r} is not in the training split, or not in this order; "
                "run the generate stage again"
            )
        yield from ((example, candidate) for candidate in candidates)


def score_batches(evaluator: Evaluator, pairs: Iterable[Pair]) -> Iterator[list[Reward]]:
    """Score whole sources a batch at a time, order kept; each strategy's candidates apart.

    Evaluators that compare the candidates of a source see all that one strategy wrote for it, as in
    fine-tuning, and nothing that another wrote.
    """
    for batch in _batches(pairs):
        calls: dict[str, list[int]] = {}
        for row, (_, written) in enumerate(batch):
            calls.setdefault(written.strategy, []).append(row)
        rewards: dict[int, Reward] = {}
        for rows in calls.values():
            rewards |= zip(rows, _score(evaluator, [batch[row] for row in rows]), strict=True)
        yield [rewards[row] for row in range(len(batch))]


def _batches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Gather sources while they fit into a batch; a source that alone does not is one."""
    batch: list[Pair] = []
    for _, source in groupby(pairs, key=lambda pair: pair[1].example_id):
        candidates = list(source)
        if batch and len(batch) + len(candidates) > CANDIDATES_PER_BATCH:
            yield batch
            batch = []
        batch += candidates
    if batch:
        yield batch


def _score(evaluator: Evaluator, pairs: Sequence[Pair]) -> list[Reward]:
    """Score candidates in one call."""
    samples = [Sample(example=example, candidate=written.text) for example, written in pairs]
    scores = checked_score(evaluator, samples)
    return [
        Reward(
            example_id=written.example_id,
            strategy=written.strategy,
            rank=written.rank,
            reward=scores.values[row],
            parts={part: column[row] for part, column in scores.parts.items()},
        )
        for row, (_, written) in enumerate(pairs)
    ]


def summarize(sources: Iterable[Sequence[Reward]]) -> dict[str, dict[str, float | None]]:
    """Describe rewards, given source by source, strategy by strategy.

    ``mean_reward`` is over candidates. Where a strategy writes several candidates, also, averaged
    over sources: ``spread``, the standard deviation within a source; ``best_of_k_headroom``, the
    best candidate's reward minus the mean; ``silent_sources``, the share whose candidates all earn
    the same, so that nothing can be learnt from them. Candidates that the evaluator does not apply
    to are counted in ``without_reward`` and left out of the rest.
    """
    tallies: dict[str, _Tally] = {}
    for rewards in sources:
        by_strategy: dict[str, list[float | None]] = {}
        for reward in rewards:
            by_strategy.setdefault(reward.strategy, []).append(reward.reward)
        for strategy, values in by_strategy.items():
            tallies.setdefault(strategy, _Tally()).add(values)
    return {strategy: tally.values() for strategy, tally in tallies.items()}


class _Tally:
    """Sums over the sources of one strategy; the rewards themselves are not kept."""

    def __init__(self) -> None:
        self._candidates = self._rewarded = self._sources = self._silent = 0
        self._most_candidates = 0
        self._reward = self._spread = self._headroom = 0.0

    def add(self, values: Sequence[float | None]) -> None:
        self._candidates += len(values)
        self._most_candidates = max(self._most_candidates, len(values))
        rewards = [value for value in values if value is not None]
        if not rewards:
            return
        self._sources += 1
        self._rewarded += len(rewards)
        self._reward += sum(rewards)
        self._spread += pstdev(rewards)
        self._headroom += max(rewards) - fmean(rewards)
        self._silent += max(rewards) == min(rewards)

    def values(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {
            "candidates": self._candidates,
            "without_reward": self._candidates - self._rewarded,
            "mean_reward": _mean(self._reward, self._rewarded),
        }
        if self._most_candidates > 1:
            found["spread"] = _mean(self._spread, self._sources)
            found["best_of_k_headroom"] = _mean(self._headroom, self._sources)
            found["silent_sources"] = _mean(self._silent, self._sources)
        return found


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def _follow(batches: Iterable[list[Reward]], task: Task) -> Iterator[Reward]:
    """Show progress and the mean reward of the batch as batches go by."""
    for batch in batches:
        values = [reward.reward for reward in batch if reward.reward is not None]
        task.advance(len(batch), note=f"reward {fmean(values):.3f}" if values else "no reward")
        yield from batch


def _size(pool: Path) -> tuple[int, int]:
    """Count the candidates of a pool, and their tokens.

    Raises:
        DataError: it is no Parquet file.
    """
    try:
        lengths = pq.read_table(pool, columns=["length"])["length"]
        return len(lengths), int(pc.sum(lengths).as_py() or 0)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{pool}: cannot be read as Parquet: {error}") from None


if __name__ == "__main__":
    main()
