"""The candidate pool and its rewards: Parquet files, written and read an example at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goa.data.corpus import has_gaps
from goa.errors import DataError, first_line

ROWS_PER_GROUP = 4096
"""Rows that are written and read, and held in memory, at a time."""
PART_PREFIX = "part_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A text that the policy wrote for an example."""

    example_id: str
    """Of the training example."""
    strategy: str
    """Name of the strategy that wrote it."""
    rank: int
    """Place among the texts of its example and strategy, from 0."""
    text: str
    """What was written."""
    token_ids: tuple[int, ...]
    """[T] in the policy's vocabulary, with the end token where one was written."""
    token_log_probs: tuple[float, ...]
    """[T] natural log-probs under the policy that wrote it."""
    log_prob: float
    """Their sum."""
    length: int
    """T."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What an evaluator says of a candidate."""

    example_id: str
    """As of the candidate."""
    strategy: str
    """As of the candidate."""
    rank: int
    """As of the candidate."""
    reward: float | None
    """In [0, 1]; None where the evaluator does not apply."""
    parts: Mapping[str, float | None] = field(default_factory=dict)
    """Breakdown by part name, each in [0, 1]; all rewards of a file have the same names."""


_KEY = [
    pa.field("example_id", pa.string(), nullable=False),
    pa.field("strategy", pa.string(), nullable=False),
    pa.field("rank", pa.int16(), nullable=False),
]
_REWARD = pa.field("reward", pa.float64())
POOL_SCHEMA = pa.schema(
    [
        *_KEY,
        pa.field("text", pa.string(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("token_log_probs", pa.list_(pa.float32()), nullable=False),
        pa.field("log_prob", pa.float32(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
    ]
)


def write_pool(path: Path, candidates: Iterable[Candidate]) -> None:
    """Write candidates in their order; those of one example are to stand together."""
    rows = (
        {name: getattr(candidate, name) for name in POOL_SCHEMA.names} for candidate in candidates
    )
    _write(path, rows, POOL_SCHEMA)


def read_pool(path: Path) -> Iterator[list[Candidate]]:
    """Read the candidates of one example after the other, in the order they were written.

    Raises:
        DataError: the file is missing or no candidate pool.
    """
    rows = _read(path, list(POOL_SCHEMA), "a candidate pool; run the generate stage")
    for _, group in groupby(map(_candidate, rows), key=lambda candidate: candidate.example_id):
        yield list(group)


def write_rewards(path: Path, rewards: Iterable[Reward]) -> None:
    """Write rewards in their order; the first one's parts are the columns.

    Raises:
        DataError: there are no rewards, or a reward has other parts than the first.
    """
    stream = iter(rewards)
    first = next(stream, None)
    if first is None:
        raise DataError(f"{path}: no rewards to write; the candidate pool is empty")
    names = list(first.parts)
    columns = [pa.field(f"{PART_PREFIX}{name}", pa.float64()) for name in names]
    schema = pa.schema([*_KEY, _REWARD, *columns])
    _write(path, (_reward_row(reward, names) for reward in chain([first], stream)), schema)


def read_rewards(path: Path) -> Iterator[list[Reward]]:
    """Read the rewards of one example after the other, in the order they were written.

    Raises:
        DataError: the file is missing or holds no rewards.
    """
    rows = _read(path, [*_KEY, _REWARD], "rewards; run the score stage")
    for _, group in groupby(map(_reward, rows), key=lambda reward: reward.example_id):
        yield list(group)


def _write(path: Path, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> None:
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_batch(pa.RecordBatch.from_pylist(group, schema))


def _read(path: Path, needed: list[pa.Field], what: str) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            problem = _misfit(file.schema_arrow, needed)
            if problem is not None:
                raise DataError(f"{path}: {problem}, so this is not {what}")
            parts = [name for name in file.schema_arrow.names if name.startswith(PART_PREFIX)]
            columns = [*(column.name for column in needed), *parts]
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=columns):
                for column in needed:
                    if not column.nullable and has_gaps(batch.column(column.name)):
                        raise DataError(
                            f"{path}: column {column.name} has gaps, so this is not {what}"
                        )
                yield from batch.to_pylist()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it should hold {what}") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as Parquet: {first_line(error)}; it should hold {what} again"
        ) from None


def _misfit(found: pa.Schema, needed: list[pa.Field]) -> str | None:
    """Say which column is missing, or of another type; None where none is."""
    for column in needed:
        if column.name not in found.names:
            return f"no column {column.name}"
        kind = found.field(column.name).type
        if kind != column.type:
            return f"column {column.name} is {kind}, not {column.type}"
    return None


def _candidate(row: dict[str, Any]) -> Candidate:
    tokens = {name: tuple(row[name]) for name in ("token_ids", "token_log_probs")}
    return Candidate(**({name: row[name] for name in POOL_SCHEMA.names} | tokens))


def _reward_row(reward: Reward, names: list[str]) -> dict[str, Any]:
    if reward.parts.keys() != set(names):
        raise DataError(
            f"example {reward.example_id}: the reward has the parts {', '.join(reward.parts)}, "
            f"others have {', '.join(names)}"
        )
    parts = {f"{PART_PREFIX}{name}": value for name, value in reward.parts.items()}
    keys = {name: getattr(reward, name) for name in ("example_id", "strategy", "rank", "reward")}
    return keys | parts


def _reward(row: dict[str, Any]) -> Reward:
    parts = {
        name.removeprefix(PART_PREFIX): value
        for name, value in row.items()
        if name.startswith(PART_PREFIX)
    }
    keys = {name: value for name, value in row.items() if not name.startswith(PART_PREFIX)}
    return Reward(**keys, parts=parts)
