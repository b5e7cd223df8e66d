"""A checkpoint is whole or is not there; one process at a time."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from goa import checkpoints as module
from goa.checkpoints import Checkpoints
from goa.errors import CheckpointError
from tests.bomb import plant

TENSORS = {"w": torch.arange(4.0), "n": torch.tensor(3)}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() is None
        checkpoints.save(5, TENSORS, {"rows": [{"a": 1.5}]})
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 5
    assert found.state == {"rows": [{"a": 1.5}]}
    assert torch.equal(found.tensors["w"], TENSORS["w"])


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, TENSORS, {})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "000000002",
        "000000003",
    ]


@pytest.mark.parametrize("file", [module.TENSORS, module.STATE])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, file: str) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        checkpoints.save(2, TENSORS, {})
        path = tmp_path / "000000002" / file
        path.write_bytes(path.read_bytes()[:-3])
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1


def test_a_pickle_in_place_of_tensors_is_passed_over_and_never_opened(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        checkpoints.save(2, TENSORS, {})
        path = tmp_path / "000000002" / module.TENSORS
        plant(path, tmp_path / "went_off")
        state = path.with_name(module.STATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        state.write_text(json.dumps({**json.loads(state.read_text()), "sha256": digest}))
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1
    assert not (tmp_path / "went_off").exists()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        path = tmp_path / "000000001" / module.TENSORS
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        assert checkpoints.latest() is None


@pytest.mark.parametrize("file", [module.TENSORS, module.STATE])
def test_no_bit_of_a_checkpoint_can_be_other(tmp_path: Path, file: str) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {"best_score": 0.125, "rows": [{"a": 1.5}]})
    path = tmp_path / "000000001" / file
    content = path.read_bytes()
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with Checkpoints(tmp_path) as checkpoints:
            assert checkpoints.latest() is None, place


def test_a_damaged_checkpoint_is_named_and_not_counted(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        checkpoints.save(2, TENSORS, {})
    (tmp_path / "000000002" / module.STATE).write_text("[]")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest_step() == 1
        assert checkpoints.damaged() == [tmp_path / "000000002"]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        Checkpoints(tmp_path),
        pytest.raises(CheckpointError, match="another process is training"),
        Checkpoints(tmp_path),
    ):
        pass


def test_a_disk_that_refuses_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        monkeypatch.setattr(module, "_write_synced", refuse)
        with pytest.raises(CheckpointError, match="No space left on device"):
            checkpoints.save(2, TENSORS, {})
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1
    assert not (tmp_path / "unfinished").exists()


def test_checkpoints_of_another_run_are_refused_with_the_difference(tmp_path: Path) -> None:
    before = {"command": "train", "finetune.rounds": "4", "seed": "1", "goa/a.py": "sha256:abc"}
    with Checkpoints(tmp_path, before) as checkpoints:
        checkpoints.save(1, TENSORS, {})
    with Checkpoints(tmp_path, before) as checkpoints:
        assert checkpoints.newest_step() == 1
    now = {"command": "train", "finetune.rounds": "6", "goa/a.py": "sha256:abd", "other": "2"}
    message = (
        "finetune.rounds was 4, is 6, goa/a.py was sha256:abc, is sha256:abd, other is new, "
        "seed is gone"
    )
    with pytest.raises(CheckpointError, match=message), Checkpoints(tmp_path, now):
        pass
    with Checkpoints(tmp_path, before):  # the lock was let go
        pass


def test_evidence_is_kept_beside_the_checkpoints_and_is_none(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        path = checkpoints.keep_evidence("update-3", TENSORS)
        assert torch.equal(load_file(path)["w"], TENSORS["w"])
        assert checkpoints.latest() is None
        assert checkpoints.newest_step() == 0


@pytest.mark.parametrize("state", ["[]", "null", '{"sha256": 1}', "[" * 100_000])
def test_a_state_of_another_form_is_passed_over(tmp_path: Path, state: str) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"weight": torch.ones(1)}, {})
        checkpoints.save(2, {"weight": torch.ones(1)}, {})
        (tmp_path / f"{2:09d}" / "state.json").write_text(state)
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1


def test_the_newest_checkpoint_is_the_latest_update_s_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        checkpoints.save(2, TENSORS, {})
        hour_ago = time.time() - 3600
        for path in (tmp_path / "000000002", *(tmp_path / "000000002").iterdir()):
            os.utime(path, (hour_ago, hour_ago))
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 2


@pytest.mark.parametrize("record", [{"step": "2", "state": {}}, {"step": 2, "state": None}])
def test_a_record_of_another_form_is_passed_over_though_its_digest_is_right(
    tmp_path: Path, record: dict[str, object]
) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TENSORS, {})
        checkpoints.save(2, TENSORS, {})
        folder, text = tmp_path / f"{2:09d}", json.dumps(record)
        digest = module._digest(folder / module.TENSORS, text)
        (folder / module.STATE).write_text(json.dumps({"sha256": digest, "record": text}))
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1
