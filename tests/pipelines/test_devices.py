"""GPUs, without one."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from goa.errors import PipelineError
from pipelines.devices import lease, visible_gpus


@pytest.mark.parametrize(
    ("listed", "names"),
    [("0,1", ("0", "1")), (" 2 ", ("2",)), ("", ()), ("-1", ()), ("GPU-8f", ("GPU-8f",))],
)
def test_visible_devices_are_taken_as_listed(listed, names, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == names


def fake_smi(folder: Path, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_otherwise_nvidia_smi_counts(monkeypatch, tmp_path) -> None:
    fake_smi(tmp_path, "echo 0; echo 1; echo 2")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ("0", "1", "2")


def test_a_driver_that_fails_means_no_gpus(monkeypatch, tmp_path) -> None:
    fake_smi(tmp_path, "echo No devices were found; exit 6")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ()


def test_without_the_driver_there_are_no_gpus(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ()


def test_without_gpus_nothing_is_leased() -> None:
    async def use() -> None:
        async with lease(()) as held:
            assert held is None

    asyncio.run(use())


def test_a_gpu_has_one_holder_at_a_time() -> None:
    async def use() -> None:
        async with lease(("0", "1")) as first, lease(("0", "1")) as second:
            assert first is not None
            assert second is not None
            assert [first.names, second.names] == [("0",), ("1",)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), lease(("0", "1")):
                    pass
        async with lease(("0",)) as again:
            assert again is not None

    asyncio.run(use())


def test_a_gpu_is_free_again_when_its_holder_was_killed() -> None:
    async def use() -> None:
        async with lease(("0",)) as held:
            assert held is not None
            heir = subprocess.Popen(["sleep", "600"], pass_fds=held.descriptors)
        # The child inherited the lock, as supervisors do.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), lease(("0",)):
                pass
        heir.kill()
        heir.wait()
        async with asyncio.timeout(5), lease(("0",)) as again:
            assert again is not None

    asyncio.run(use())


def test_several_gpus_are_taken_together_or_not_at_all() -> None:
    gpus = ("0", "1", "2")

    async def use() -> None:
        async with lease(gpus, 2) as pair:
            assert pair is not None
            assert pair.names == ("0", "1")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), lease(gpus, 2):
                    pass
            # The attempt that failed holds nothing.
            async with asyncio.timeout(5), lease(gpus) as third:
                assert third is not None
                assert third.names == ("2",)
        async with asyncio.timeout(5), lease(gpus, 3) as all_of_them:
            assert all_of_them is not None
            assert all_of_them.names == gpus

    asyncio.run(use())


def test_more_processes_than_gpus_are_refused() -> None:
    async def use() -> None:
        with pytest.raises(PipelineError, match="4 processes need a GPU each, and there are 2"):
            async with lease(("0", "1"), 4):
                pass

    asyncio.run(use())
