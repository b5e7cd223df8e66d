"""Tests of the spool."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from goa.errors import TrackingError
from goa.tracking.spool import Spool, follow_spool, read_spool


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "pretrain" / "abc.jsonl")
    before = time.time()

    spool.metrics(3, {"loss": 2.5})
    spool.progress(1, 10, "updates", "loss 2.500")
    spool.event("rescued", reason="dvc was stopped")

    metrics, progress, event = read_spool(spool.path)
    assert before <= metrics.pop("time") <= progress.pop("time") <= event.pop("time")
    assert metrics == {"kind": "metrics", "step": 3, "values": {"loss": 2.5}}
    assert progress == {
        "kind": "progress",
        "done": 1,
        "total": 10,
        "unit": "updates",
        "note": "loss 2.500",
    }
    assert event == {"kind": "rescued", "reason": "dvc was stopped"}


def test_numbers_of_tensor_libraries_become_plain_numbers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl")

    spool.metrics(0, {"a": np.float32(0.5), "b": torch.tensor(2.0)})  # type: ignore[dict-item]

    assert read_spool(spool.path)[0]["values"] == {"a": 0.5, "b": 2.0}


def test_what_is_no_number_is_told_as_it_prints(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl")
    spool.metrics(0, {"a": Path("high")})  # type: ignore[dict-item]
    assert read_spool(spool.path)[0]["values"] == {"a": "high"}


def test_a_second_writer_appends(tmp_path: Path) -> None:
    Spool(tmp_path / "spool.jsonl").metrics(1, {"loss": 1.0})
    Spool(tmp_path / "spool.jsonl").metrics(2, {"loss": 0.5})

    assert [record["step"] for record in read_spool(tmp_path / "spool.jsonl")] == [1, 2]


def test_a_torn_last_line_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    Spool(path).metrics(1, {"loss": 1.0})
    with path.open("a") as file:
        file.write('{"time": 5, "kind": "met')

    assert [record["step"] for record in read_spool(path)] == [1]


def test_a_torn_line_does_not_spoil_what_the_next_writer_appends(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_text('{"time": 5, "kind": "met')

    Spool(path).metrics(2, {"loss": 0.5})

    assert [record["step"] for record in read_spool(path)] == [2]


@pytest.mark.parametrize("line", ["[1, 2]", "7", '{"kind": "metrics"}', "\x00\x00\x00"])
def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_text(f"{line}\n")
    Spool(path).metrics(2, {"loss": 0.5})

    assert [record["step"] for record in read_spool(path)] == [2]


def test_a_spool_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_spool(tmp_path / "none.jsonl") == []


def test_following_gives_each_record_once_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = Spool(path)
    spool.metrics(1, {"loss": 1.0})
    first, offset = follow_spool(path, 0)
    line = json.dumps({"time": 1.0, "kind": "metrics", "step": 2, "values": {}})
    with path.open("a") as file:
        file.write(line[:20])
    second, offset = follow_spool(path, offset)
    with path.open("a") as file:
        file.write(line[20:] + "\n")
    third, _ = follow_spool(path, offset)

    assert [record["step"] for record in first] == [1]
    assert second == []
    assert [record["step"] for record in third] == [2]


def test_a_full_disk_says_what_to_do() -> None:
    # /dev/full refuses every write as a full disk does.
    with pytest.raises(TrackingError, match=r"/dev/full: cannot append metrics: No space left"):
        Spool(Path("/dev/full")).metrics(1, {"loss": 1.0})


def test_a_folder_in_the_place_of_the_spool_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="cannot append metrics"):
        Spool(tmp_path)
