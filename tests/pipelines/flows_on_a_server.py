"""The Prefect flow on the server that PREFECT_API_URL names, all of whose runs are ours."""

import asyncio
import contextlib
import fcntl
import gc
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.sorting import ArtifactSort

from goa.errors import PipelineError
from goa.tracking.spool import Spool
from pipelines import flows, schedule
from pipelines.clones import Clone
from pipelines.flows import reproduce
from pipelines.schedule import promote_task
from tests.pipelines.conftest import alive

pytestmark = [
    # Prefect's client leaves connections to its server for the garbage collector to close.
    pytest.mark.filterwarnings("ignore:unclosed <socket.*127.0.0.1:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect Prefect's garbage here, not in a later test where its warnings count."""
    yield
    gc.collect()


async def recorded(name: str) -> str:
    """Ask the server how a task ended; the client reports that a little later."""
    async with asyncio.timeout(30), get_client() as client:
        while True:
            runs = [run for run in await client.read_task_runs() if run.name == name]
            states = [run.state for run in runs if run.state is not None and run.state.is_final()]
            if states:
                return max(states, key=lambda state: state.timestamp).name
            await asyncio.sleep(0.1)


async def artifacts(key: str) -> list[Any]:
    """Ask the server for what flows left under a key, oldest first."""
    async with get_client() as client:
        found = await client.read_artifacts(sort=ArtifactSort.UPDATED_DESC)
    return [artifact.data for artifact in reversed(found) if artifact.key == key]


async def logs(text: str) -> bool:
    """Wait until a line with this text has reached the server; False if it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20), get_client() as client:
            while True:
                if any(text in line.message for line in await client.read_logs()):
                    return True
                await asyncio.sleep(0.2)
    return False


def test_a_flow_brings_the_project_up_to_date(toy) -> None:
    states = asyncio.run(reproduce(["train@b"], 2, toy.root))
    assert states == {"prepare": "done", "train@b": "done"}
    assert set(toy.lock()["stages"]) == {"prepare", "train@b"}
    assert asyncio.run(recorded("train@b")) == "Completed"
    assert asyncio.run(logs("Running stage 'train@b'"))
    stages = json.loads(asyncio.run(artifacts("stages"))[-1])
    assert [(row["stage"], row["state"]) for row in stages] == list(states.items())
    assert all(row["seconds"] > 0 for row in stages)


def test_what_is_up_to_date_shows_as_cached(done_toy) -> None:
    done_toy.change("evaluators.b.kind", "chrf")
    states = asyncio.run(reproduce(["train"], 2, done_toy.root))
    assert states == {"prepare": "up to date", "train@a": "up to date", "train@b": "done"}
    assert done_toy.ran() == {"train@b"}
    assert asyncio.run(recorded("train@a")) == "Cached"
    (done_toy.root / "out" / "models" / "b").unlink()
    assert asyncio.run(reproduce(["train@b"], 2, done_toy.root))["train@b"] == "cached"
    assert asyncio.run(recorded("train@b")) == "Cached"


def test_a_failed_stage_fails_the_flow_with_its_log_and_is_not_tried_again(toy) -> None:
    toy.tell("train@a", "fail")
    with pytest.raises(PipelineError, match=r"(?s)train@a.*told to fail"):
        asyncio.run(reproduce(["train"], 2, toy.root))
    assert toy.ran() == {"prepare", "train@b"}
    assert toy.events().count(("train@a", "start")) == 1
    assert asyncio.run(recorded("train@a")) == "Failed"


def test_a_stage_that_could_not_begin_is_tried_again(toy, monkeypatch) -> None:
    monkeypatch.setattr(flows.stage_task, "retry_delay_seconds", [3, 3, 3])
    raw = toy.root / "raw.txt"
    raw.rename(raw.with_suffix(".away"))

    async def bring_back() -> None:
        log = toy.root / ".goa" / "logs" / "prepare.log"
        while not (log.exists() and "ERROR" in log.read_text()):
            await asyncio.sleep(0.1)
        raw.with_suffix(".away").rename(raw)

    async def both() -> dict[str, str]:
        coming = asyncio.create_task(bring_back())
        states = await reproduce(["prepare"], 1, toy.root)
        await coming
        return states

    assert asyncio.run(both()) == {"prepare": "done"}


def test_a_flow_that_takes_too_long_ends_its_stages(toy) -> None:
    toy.tell("prepare", "hang")
    timed = reproduce.with_options(timeout_seconds=10)

    async def left() -> list[bool]:
        with pytest.raises(TimeoutError):
            await timed(["prepare"], 1, toy.root)
        # Still inside: at the end of all, asyncio would end whatever is left.
        return [alive(int(each)) for each in (toy.root / "prepare.pids").read_text().split()]

    assert asyncio.run(left()) == [False, False]


def test_a_long_stage_shows_its_progress(toy) -> None:
    toy.tell("prepare", "wait")

    async def watch() -> None:
        running = asyncio.create_task(reproduce(["prepare"], 1, toy.root))
        while not toy.events():
            await asyncio.sleep(0.1)
        Spool(toy.root / ".goa" / "spool" / "prepare" / "1.jsonl").progress(3, 4, "rounds", "")
        while not await artifacts("prepare"):
            await asyncio.sleep(0.2)
        (toy.root / "control" / "prepare").unlink()
        await running

    asyncio.run(asyncio.wait_for(watch(), 60))
    assert float(asyncio.run(artifacts("prepare"))[-1]) == 75


def test_stages_on_gpus_take_slots_of_a_limit(toy) -> None:
    graph = toy.root / "dvc.yaml"
    graph.write_text(
        graph.read_text().replace("      params:", "      params:\n        - compute.device")
    )
    params = toy.root / "params.yaml"
    params.write_text(params.read_text() + "compute: {device: cpu}\n")

    async def limited() -> None:
        async with get_client() as client:
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name="gpus", limit=1)
            )
        await reproduce(["train"], 2, toy.root, "gpus")

    asyncio.run(limited())
    order = [stage for stage, _ in toy.events() if stage.startswith("train")]
    assert order[0] == order[1]  # not begun before the other had ended
    toy.change("evaluators.b.kind", "chrf")
    with pytest.raises(PipelineError, match="nonesuch"):
        asyncio.run(reproduce(["train"], 2, toy.root, "nonesuch"))


def test_promotion_holds_a_slot_and_a_gpu(toy, monkeypatch) -> None:
    (toy.root / ".goa" / "logs").mkdir(parents=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    held = {}

    async def goa(arguments: Any, log: Path, **given: Any) -> int:
        log.write_text("not better")
        async with get_client() as client:
            limit = await client.read_global_concurrency_limit_by_name("promoters")
        held.update(given, command=arguments[-1], slots=limit.active_slots)
        with (
            pytest.raises(BlockingIOError),
            Path(tempfile.gettempdir(), "goa-gpu-7.lock").open() as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return 1

    @flow
    async def promote() -> str:
        async with get_client() as client:
            await client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name="promoters", limit=1)
            )
        return await promote_task(Clone(root=toy.root, sha="0", has_remote=False), "promoters")

    monkeypatch.setattr(schedule, "run_python", goa)
    assert asyncio.run(promote()) == "not better"
    assert [held["command"], held["slots"]] == ["promote", 1]
    assert held["environment"] == {"CUDA_VISIBLE_DEVICES": "7"}
    assert len(held["descriptors"]) == 1
