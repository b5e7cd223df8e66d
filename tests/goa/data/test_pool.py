"""The candidate pool and its rewards on disk."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goa.data.pool import (
    ROWS_PER_GROUP,
    Candidate,
    Reward,
    read_pool,
    read_rewards,
    write_pool,
    write_rewards,
)
from goa.errors import DataError


def _candidate(example: int, rank: int) -> Candidate:
    return Candidate(
        example_id=f"x-{example}",
        strategy="sample",
        rank=rank,
        text=f"text {rank}",
        token_ids=(5, 6, 1),
        token_log_probs=(-0.5, -0.25, -2.0),
        log_prob=-2.75,
        length=3,
    )


def _reward(example: int, rank: int) -> Reward:
    parts = {"relevance": 0.1, "sentiment": None}
    return Reward(example_id=f"x-{example}", strategy="s", rank=rank, reward=1 / 3, parts=parts)


def test_candidates_come_back_an_example_at_a_time(tmp_path):
    path = tmp_path / "pool.parquet"
    groups = [[_candidate(example, rank) for rank in range(example % 4 + 1)] for example in (5, 2)]

    write_pool(path, (candidate for group in groups for candidate in group))

    assert list(read_pool(path)) == groups


def test_an_example_may_lie_across_row_groups(tmp_path):
    path = tmp_path / "pool.parquet"
    write_pool(path, (_candidate(row // 3, row % 3) for row in range(ROWS_PER_GROUP + 5)))

    groups = list(read_pool(path))

    assert pq.ParquetFile(path).num_row_groups == 2
    assert {len(group) for group in groups[:-1]} == {3}
    assert sum(map(len, groups)) == ROWS_PER_GROUP + 5


def test_an_empty_pool_can_be_written_and_read(tmp_path):
    write_pool(tmp_path / "pool.parquet", [])

    assert list(read_pool(tmp_path / "pool.parquet")) == []


def test_rewards_come_back_with_their_parts(tmp_path):
    path = tmp_path / "rewards.parquet"
    groups = [[_reward(0, 0), _reward(0, 1)], [replace(_reward(1, 0), reward=None)]]

    write_rewards(path, (reward for group in groups for reward in group))

    assert list(read_rewards(path)) == groups


def test_rewards_are_columns_that_others_can_read(tmp_path):
    path = tmp_path / "rewards.parquet"
    write_rewards(path, [_reward(0, 0)])

    assert pq.read_schema(path).names == [
        "example_id",
        "strategy",
        "rank",
        "reward",
        "part_relevance",
        "part_sentiment",
    ]


def test_a_reward_with_other_parts_is_refused(tmp_path):
    rewards = [_reward(0, 0), replace(_reward(0, 1), parts={"relevance": 0.1})]

    with pytest.raises(DataError, match="example x-0: the reward has the parts relevance, others"):
        write_rewards(tmp_path / "rewards.parquet", rewards)


def test_no_rewards_at_all_are_refused(tmp_path):
    with pytest.raises(DataError, match="no rewards to write"):
        write_rewards(tmp_path / "rewards.parquet", [])


def test_a_missing_pool_is_named(tmp_path):
    with pytest.raises(DataError, match=r"pool\.parquet: no such file; .* run the generate stage"):
        list(read_pool(tmp_path / "pool.parquet"))


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "pool.parquet").write_bytes(b"no parquet")

    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_pool(tmp_path / "pool.parquet"))


def test_a_table_of_other_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "pool.parquet")

    with pytest.raises(DataError, match="no column example_id, so this is not a candidate pool"):
        list(read_pool(tmp_path / "pool.parquet"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rank": pa.array([0], pa.int64())}, "column rank is int64, not int16"),
        ({"text": pa.array([None], pa.string())}, "column text has gaps"),
        ({"token_ids": pa.array([[None]], pa.list_(pa.int32()))}, "column token_ids has gaps"),
    ],
)
def test_a_pool_of_other_columns_is_refused(
    tmp_path: Path, changed: dict[str, pa.Array], said: str
) -> None:
    columns = {
        "example_id": pa.array(["a"]),
        "strategy": pa.array(["s"]),
        "rank": pa.array([0], pa.int16()),
        "text": pa.array(["t"]),
        "token_ids": pa.array([[1]], pa.list_(pa.int32())),
        "token_log_probs": pa.array([[-0.1]], pa.list_(pa.float32())),
        "log_prob": pa.array([-0.1], pa.float32()),
        "length": pa.array([1], pa.int32()),
        "beside": pa.array(["is passed over"]),
    }
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table(columns), path)
    assert len(list(read_pool(path))) == 1
    pq.write_table(pa.table(columns | changed), path)
    with pytest.raises(DataError, match=f"{said}, so this is not a candidate pool"):
        list(read_pool(path))


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "pool.parquet"
    write_pool(path, [_candidate(place, 0) for place in range(50)])
    content, expected, noticed = path.read_bytes(), list(read_pool(path)), 0
    places = range(8, len(content) // 2, 37)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        found = None
        with contextlib.suppress(DataError):
            found = list(read_pool(path))
        assert found in (None, expected), place
        noticed += found is None
    assert noticed > len(places) / 2


def test_a_file_that_was_cut_short_is_noticed(tmp_path):
    path = tmp_path / "pool.parquet"
    write_pool(path, [_candidate(place, 0) for place in range(50)])
    content = path.read_bytes()
    for size in (0, 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            list(read_pool(path))
