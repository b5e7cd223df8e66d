"""Scoring the candidate pool."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from goa.data.corpus import CorpusWriter, split_path
from goa.data.pool import Candidate, Reward, read_pool, read_rewards, write_pool
from goa.errors import DataError
from goa.evaluators.contract import Evaluator
from goa.records import Example, Sample, Scores
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool, read_spool
from pipelines import score
from pipelines.score import pair_with_examples, score_batches, score_pool, summarize
from pipelines.stage import Stage

EXAMPLES = [
    Example(id=str(number), source=f"source {number}", references=(f"reference {number}",))
    for number in range(4)
]


class Length(Evaluator):
    """Tenths of the candidate's length; not for empty ones."""

    name = "length"
    signature = "length"

    def score(self, samples: Sequence[Sample]) -> Scores:
        values = tuple(len(sample.candidate) / 10 or None for sample in samples)
        return Scores(values=values, parts={"half": tuple(v and v / 2 for v in values)})


def write(example_id: str, text: str, strategy: str = "sample", rank: int = 0) -> Candidate:
    return Candidate(
        example_id=example_id,
        strategy=strategy,
        rank=rank,
        text=text,
        token_ids=(1,),
        token_log_probs=(-1.0,),
        log_prob=-1.0,
        length=1,
    )


def earn(values: Iterable[float | None], strategy: str = "sample") -> list[Reward]:
    return [
        Reward(example_id="0", strategy=strategy, rank=rank, reward=value)
        for rank, value in enumerate(values)
    ]


def test_candidates_meet_their_examples_and_other_examples_are_passed_over() -> None:
    pool = [[write("1", "a"), write("1", "b")], [write("3", "c")]]
    pairs = [(example.id, found.text) for example, found in pair_with_examples(pool, EXAMPLES)]
    assert pairs == [("1", "a"), ("1", "b"), ("3", "c")]


@pytest.mark.parametrize("order", [["1", "9"], ["2", "1"]])
def test_an_example_that_is_missing_or_out_of_order_is_an_error(order: list[str]) -> None:
    pool = [[write(example_id, "a")] for example_id in order]
    with pytest.raises(DataError, match=f"example '{order[1]}' is not in the training split"):
        list(pair_with_examples(pool, EXAMPLES))


def pair(*candidates: Candidate) -> Iterator[tuple[Example, Candidate]]:
    return ((EXAMPLES[int(written.example_id)], written) for written in candidates)


def test_rewards_keep_the_order_of_candidates_over_batches_and_strategies(monkeypatch) -> None:
    monkeypatch.setattr(score, "CANDIDATES_PER_BATCH", 3)
    pool = [
        write("0", "aaa", "greedy"), write("0", "a"), write("0", "", rank=1),
        write("1", "aa"), write("1", "aaaa", "greedy"),
    ]  # fmt: skip
    batches = list(score_batches(Length(), pair(*pool)))
    assert [len(batch) for batch in batches] == [3, 2]
    rewards = [reward for batch in batches for reward in batch]
    assert [(found.example_id, found.strategy, found.rank, found.reward) for found in rewards] == [
        ("0", "greedy", 0, 0.3), ("0", "sample", 0, 0.1), ("0", "sample", 1, None),
        ("1", "sample", 0, 0.2), ("1", "greedy", 0, 0.4),
    ]  # fmt: skip
    assert [found.parts["half"] for found in rewards] == [0.15, 0.05, None, 0.1, 0.2]


def test_a_call_has_one_strategys_candidates_of_whole_sources(monkeypatch) -> None:
    monkeypatch.setattr(score, "CANDIDATES_PER_BATCH", 4)
    calls: list[list[tuple[str, str]]] = []

    class Listening(Length):
        reads_batch = True

        def score(self, samples: Sequence[Sample]) -> Scores:
            calls.append([(sample.example.id, sample.candidate) for sample in samples])
            return super().score(samples)

    sizes = {"0": 1, "1": 1, "2": 2, "3": 5}
    pool = [
        candidate
        for key, size in sizes.items()
        for candidate in (
            write(key, "g", "greedy"),
            *(write(key, f"s{rank}", rank=rank) for rank in range(size)),
        )
    ]
    list(score_batches(Listening(), pair(*pool)))
    assert calls == [
        [("0", "g"), ("1", "g")], [("0", "s0"), ("1", "s0")],
        [("2", "g")], [("2", "s0"), ("2", "s1")],
        [("3", "g")], [("3", f"s{rank}") for rank in range(5)],
    ]  # fmt: skip


def test_no_more_of_the_pool_is_held_than_a_batch_and_the_source_after_it(monkeypatch) -> None:
    monkeypatch.setattr(score, "CANDIDATES_PER_BATCH", 2)
    taken: list[str] = []

    def stream() -> Iterator[tuple[Example, Candidate]]:
        for key in "0123":
            for rank in range(2):
                taken.append(key)
                yield from pair(write(key, "a", rank=rank))

    next(score_batches(Length(), stream()))
    assert taken == ["0", "0", "1", "1", "2"]


def test_the_summary_is_as_worked_by_hand() -> None:
    sources = [
        [*earn([0.5], "greedy"), *earn([0.1, 0.3, 0.8, 0.4])],
        [*earn([0.3], "greedy"), *earn([0.2, 0.2, 0.2, 0.2])],
    ]
    summary = summarize(sources)
    assert summary["greedy"] == {"candidates": 2, "without_reward": 0, "mean_reward": 0.4}
    # Deviations from 0.4: -0.3, -0.1, 0.4, 0.0, so the variance is 0.26 / 4.
    assert summary["sample"] == pytest.approx(
        {
            "candidates": 8,
            "without_reward": 0,
            "mean_reward": 0.3,
            "spread": 0.065**0.5 / 2,
            "best_of_k_headroom": 0.4 / 2,
            "silent_sources": 0.5,
        },
        abs=1e-12,
    )


def test_candidates_without_reward_are_counted_and_left_out() -> None:
    summary = summarize([earn([None, 0.2, 0.4]), earn([None, None])])["sample"]
    assert summary == pytest.approx(
        {
            "candidates": 5,
            "without_reward": 3,
            "mean_reward": 0.3,
            "spread": 0.1,
            "best_of_k_headroom": 0.1,
            "silent_sources": 0.0,
        },
        abs=1e-12,
    )


def test_where_nothing_is_rewarded_there_are_no_means() -> None:
    summary = summarize([earn([None, None])])["sample"]
    assert summary["mean_reward"] is None
    assert summary["spread"] is None
    json.dumps(summary, allow_nan=False)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch) -> Stage:
    """Give a stage in a project that has a corpus, a pool and settings."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "seed: 1\nscoring: {store: false}\nevaluators:\n  overlap: {kind: rouge, variant: rouge1}\n"
    )
    Path("out/data").mkdir(parents=True)
    with CorpusWriter(split_path(Path("out/data"), "train")) as writer:
        for example in EXAMPLES:
            writer.add(example)
    write_pool(
        Path("out/pool.parquet"),
        [
            write("0", "reference 0", "greedy"),
            write("0", "reference", rank=0),
            write("0", "nothing", rank=1),
            write("2", "reference 2", "greedy"),
            write("2", "2", rank=0),
            write("2", "2", rank=1),
        ],
    )
    spool = Spool(tmp_path / "spool.jsonl")
    return Stage(
        name="score@overlap", made_of={}, spool=spool, progress=Progress(spool, quiet=True)
    )


def test_the_stage_rewards_the_whole_pool_in_order(stage: Stage) -> None:
    score_pool(stage, "overlap")
    sources = list(read_rewards(Path("out/rewards/overlap.parquet")))
    rewards = [[(row.strategy, row.rank, row.reward) for row in source] for source in sources]
    assert rewards == [
        [("greedy", 0, 1.0), ("sample", 0, pytest.approx(2 / 3)), ("sample", 1, 0.0)],
        [("greedy", 0, 1.0), ("sample", 0, pytest.approx(2 / 3)), ("sample", 1, 2 / 3)],
    ]


def test_the_stage_writes_its_summary_and_tells_its_speed_to_the_spool_only(stage: Stage) -> None:
    score_pool(stage, "overlap")
    summary = json.loads(Path("metrics/score/overlap.json").read_text())
    assert summary["sample"]["silent_sources"] == 0.5
    assert "second" not in json.dumps(summary)
    told = [record["values"] for record in read_spool(stage.spool.path) if "values" in record]
    assert told[0]["candidates_per_second"] > 0
    work = stage.work["scoring"]
    lengths = [
        written.length for source in read_pool(Path("out/pool.parquet")) for written in source
    ]
    assert (work.sentences, work.tokens) == (len(lengths), sum(lengths))
    assert work.seconds > 0


def test_a_pool_of_other_data_leaves_no_rewards(stage: Stage) -> None:
    write_pool(Path("out/pool.parquet"), [write("0", "a"), write("7", "a")])
    with pytest.raises(DataError, match="example '7'"):
        score_pool(stage, "overlap")
    assert not Path("out/rewards").exists()


def test_a_pool_that_is_no_parquet_is_an_error(stage: Stage) -> None:
    Path("out/pool.parquet").write_text("not Parquet")
    with pytest.raises(DataError, match=r"out/pool.parquet: cannot be read as Parquet"):
        score_pool(stage, "overlap")
