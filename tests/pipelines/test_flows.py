"""The Prefect flow: what it asks of Prefect, and the whole of it in a process of its own.

Prefect's and MLflow's tables cannot be mapped by SQLAlchemy in one process, so what stands in
flows_on_a_server.py must not share one with the tests of publishing.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

from goa.errors import PipelineError
from pipelines import flows, schedule
from pipelines.execution import Workplace
from pipelines.graph import StageDefinition


def test_a_flow_runs_stages_on_a_real_prefect_server() -> None:
    checks = Path(__file__).with_name("flows_on_a_server.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", checks],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def hold(
    monkeypatch: pytest.MonkeyPatch, cmd: str, params: dict[str, Any], limit: str | None
) -> list[Any]:
    """Take the slots of a stage; gives what Prefect is asked for."""
    stage = StageDefinition(
        name="x", cmd=cmd, dependencies=(), params={"params.yaml": params}, outputs=()
    )
    asked: list[Any] = []

    @contextlib.asynccontextmanager
    async def concurrency(name: str, **options: Any) -> AsyncIterator[None]:
        if name == "nonesuch":
            raise ConcurrencySlotAcquisitionError
        asked.append({"name": name, **options})
        yield
        asked.append("given back")

    monkeypatch.setattr(flows, "stage_definition", lambda *_: stage)
    monkeypatch.setattr(flows, "concurrency", concurrency)

    async def run() -> None:
        async with flows._slots("x", Workplace(root=Path()), limit):
            asked.append("runs")

    asyncio.run(run())
    return asked


@pytest.mark.parametrize(("cmd", "slots"), [("train", 1), ("train --processes 3", 3)])
def test_each_process_on_a_gpu_takes_a_slot(
    monkeypatch: pytest.MonkeyPatch, cmd: str, slots: int
) -> None:
    asked = {
        "name": "gpus",
        "occupy": slots,
        "lease_duration": flows.LEASE_SECONDS,  # else a holder that died keeps it for ever
        "strict": True,  # else a limit that is not there limits nothing
    }
    found = hold(monkeypatch, cmd, {"compute.device": "auto"}, "gpus")
    assert found == [asked, "runs", "given back"]


def test_without_a_limit_or_a_device_no_slot_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hold(monkeypatch, "train", {"compute.device": "auto"}, None) == ["runs"]
    assert hold(monkeypatch, "prepare", {"seed": 1}, "gpus") == ["runs"]


def test_a_limit_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="prefect gcl create nonesuch"):
        hold(monkeypatch, "train", {"compute.device": "auto"}, "nonesuch")


def test_prefect_keeps_no_results_of_its_own() -> None:
    tasks = [flows.stage_task, flows.fresh_task]
    tasks += [getattr(schedule, f"{name}_task") for name in ("fetch", "clone", "push", "publish")]
    assert all(task.cache_policy == NO_CACHE for task in [*tasks, schedule.promote_task])
