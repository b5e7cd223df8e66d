"""A disk that is really full: a small one of our own, where the system lets us make one."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from goa.checkpoints import Checkpoints
from goa.errors import CheckpointError
from pipelines.execution import StageState
from pipelines.graph import stale_stages
from pipelines.runner import RunOutcome, run_graph
from pipelines.stage import open_stage
from tests.pipelines.conftest import Toy

MIB = 2**20


def _fails(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode != 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if shutil.which("mount") is None or _fails(argv):
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free; give the file to delete."""
    path = disk / "ballast"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return path


def test_the_checkpoint_before_survives_a_full_disk(disk: Path) -> None:
    with Checkpoints(disk / "checkpoints") as checkpoints:
        checkpoints.save(1, {"w": torch.ones(9)}, {})
        ballast = fill(disk)
        with pytest.raises(CheckpointError, match="No space left.*free some space and run again"):
            checkpoints.save(2, {"w": torch.zeros(MIB)}, {})
        assert checkpoints.newest_step() == 1
        ballast.unlink()
        checkpoints.save(2, {"w": torch.zeros(9)}, {})
        assert checkpoints.newest_step() == 2


def test_a_stage_on_a_full_disk_ends_with_a_message_and_makes_no_output(
    disk: Path, fresh_toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    root = shutil.copytree(fresh_toys["no-scm"], disk / "toy")
    monkeypatch.chdir(root)
    output = Path("out/data")

    def write(megabytes: int) -> None:
        with open_stage("prepare") as stage, stage.output(output) as temporary:
            temporary.write_bytes(b"x" * megabytes * MIB)

    with pytest.raises(SystemExit) as ended:
        write(6)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: prepare: ")
    assert "No space left on device; free some space and run it again" in said
    assert not output.exists()
    assert not list((root / ".goa/unfinished/prepare").iterdir())
    write(1)
    assert output.stat().st_size == MIB


def run(toy: Toy) -> RunOutcome:
    return asyncio.run(run_graph(["prepare"], 1, lambda *_: None, root=toy.root))


def test_a_run_whose_cache_is_full_goes_on_when_there_is_space(
    disk: Path, fresh_toys: dict[str, Path]
) -> None:
    toy = Toy(root=shutil.copytree(fresh_toys["no-scm"], disk / "toy"))
    toy.tell("prepare", "bulky 3")  # fits once, and not beside its copy in the cache
    (failure,) = run(toy).failures
    assert "free some space and run it again" in failure
    assert "prepare" in stale_stages(toy.root)
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    assert run(toy).states == {"prepare": StageState.DONE}
    assert not stale_stages(toy.root).get("prepare")
    assert (toy.root / "out/data").stat().st_size == 3 * MIB + 2
