"""Stage ``generate``: the candidate pool, written by the pretrained policy."""

import time
from collections.abc import Iterator
from pathlib import Path

from goa.data.corpus import open_split
from goa.data.pool import Candidate, write_pool
from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import GenerateSettings
from goa.policies.compute import set_up, use_device
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.randomness import Shuffle
from goa.records import Example
from goa.settings import read_sections
from goa.tracking.cost import Work
from goa.tracking.progress import Task
from pipelines.stage import PARAMS, Stage, open_stage

SOURCES_PER_BATCH = 32


def main() -> None:
    """Run the stage."""
    with open_stage("generate") as stage:
        generate_pool(stage)


def generate_pool(stage: Stage) -> None:
    """Write candidates of every strategy for the chosen sources, in the corpus's order."""
    params = read_sections(PARAMS, seed=int, compute=ComputeSettings, generate=GenerateSettings)
    settings: GenerateSettings = params.generate
    device = use_device(params.compute, params.compute.threads.generate)
    policy = load_policy(Path("out/policies/mle"), device)
    set_up(policy, params.compute, dropout=False)
    corpus = open_split(Path("out/data"), "train")
    count = min(settings.num_sources or len(corpus), len(corpus))
    indices = sorted(Shuffle(len(corpus), params.seed, "pool")[:count].tolist())
    summary = _Summary()

    def candidates(task: Task) -> Iterator[Candidate]:
        for start in range(0, count, SOURCES_PER_BATCH):
            examples = corpus.rows(indices[start : start + SOURCES_PER_BATCH])
            yield from _write(policy, examples, settings, params.seed, summary)
            task.advance(len(examples))

    started = time.monotonic()
    with (
        stage.progress.task(stage.name, count, "sources") as task,
        stage.output(Path("out/pool.parquet")) as path,
    ):
        write_pool(path, candidates(task))
    stage.work["generation"] = summary.work(time.monotonic() - started)
    stage.metrics(Path("metrics/generate.json"), summary.values())


def _write(
    policy: Policy,
    examples: list[Example],
    settings: GenerateSettings,
    seed: int,
    summary: "_Summary",
) -> Iterator[Candidate]:
    """Write a batch with every strategy; give the candidates source by source."""
    sources = policy.tokenize_sources([example.source for example in examples])
    keys = [example.id for example in examples]
    written = {
        name: generate(policy, sources, strategy, seed, keys)
        for name, strategy in settings.strategies.items()
    }
    for name, candidates in written.items():
        summary.add(name, candidates)
    for row, example in enumerate(examples):
        for name, candidates in written.items():
            yield from _rows(example.id, name, candidates, row)


def _rows(example_id: str, strategy: str, candidates: Candidates, row: int) -> Iterator[Candidate]:
    """Lay the K candidates of one source out as rows of the pool."""
    lengths = candidates.mask[row].sum(dim=-1).tolist()
    for rank, length in enumerate(lengths):
        log_probs = candidates.log_probs[row, rank, :length].tolist()
        yield Candidate(
            example_id=example_id,
            strategy=strategy,
            rank=rank,
            text=candidates.texts[row][rank],
            token_ids=tuple(candidates.tokens[row, rank, :length].tolist()),
            token_log_probs=tuple(log_probs),
            log_prob=sum(log_probs),
            length=length,
        )


class _Summary:
    """What the pool looks like, strategy by strategy."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, float]] = {}

    def add(self, strategy: str, candidates: Candidates) -> None:
        sums = self._sums.setdefault(
            strategy, {"sources": 0, "candidates": 0, "tokens": 0, "log_prob": 0, "distinct": 0}
        )
        sums["sources"] += len(candidates.texts)
        sums["candidates"] += sum(len(row) for row in candidates.texts)
        sums["tokens"] += int(candidates.mask.sum())
        sums["log_prob"] += float(candidates.log_probs.sum())
        sums["distinct"] += sum(len(set(row)) for row in candidates.texts)

    def work(self, seconds: float) -> Work:
        """Say how much was written in that time, by all strategies together."""
        return Work(
            seconds=seconds,
            sentences=int(sum(sums["candidates"] for sums in self._sums.values())),
            tokens=int(sum(sums["tokens"] for sums in self._sums.values())),
        )

    def values(self) -> dict[str, dict[str, float]]:
        """Give the realised diversity, mean length and mean log-probability of each strategy."""
        return {
            name: {
                "sources": sums["sources"],
                "candidates": sums["candidates"],
                "distinct_share": sums["distinct"] / sums["candidates"],
                "tokens_per_candidate": sums["tokens"] / sums["candidates"],
                "log_prob_per_token": sums["log_prob"] / sums["tokens"],
            }
            for name, sums in self._sums.items()
        }


if __name__ == "__main__":
    main()
