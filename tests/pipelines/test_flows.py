"""The Prefect flow: what it asks of Prefect, and the whole of it on real, temporary servers."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

from goa.errors import PipelineError
from pipelines import flows, schedule
from pipelines.execution import StageState
from pipelines.runner import RunOutcome
from pipelines.serve import QUIET
from pipelines.stage_graph import StageDefinition
from tests.apart import run_apart
from tests.postgresql import Server
from tests.services import HOST, answering, free_port


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def prefect_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database of each kind, as Prefect's server does."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database("asyncpg")


@pytest.fixture
def client(prefect_database: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Serve the database, and give the environment of a process that uses the server."""
    port = free_port()
    argv = ["-m", "prefect", "server", "start", "--no-ui", "--host", HOST, "--port", str(port)]
    environment = {**os.environ, **QUIET, "PREFECT_HOME": str(tmp_path / "home")}
    database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect_database}
    api = f"http://{HOST}:{port}/api"
    with answering(
        [sys.executable, *argv], f"{api}/health", tmp_path / "server.txt", environment | database
    ):
        yield environment | {"PREFECT_API_URL": api}


def test_a_flow_runs_stages_on_a_real_prefect_server(client: dict[str, str]) -> None:
    run_apart("tests/pipelines/flows_on_a_server.py", 8, client)


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
        async with flows.gpu_slots(limit, flows._gpu_slots("x", Path())):
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


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Note what a flow asks of the runner and what it shows; no stage is run."""
    noted: list[tuple[Any, ...]] = []

    async def run_graph(targets: Any, slots: int, listen: Any, **options: Any) -> RunOutcome:
        del options["execute"]
        noted.append(("run", targets, slots, options))
        for state in (StageState.WAITING, StageState.RUNNING, StageState.DONE):
            listen("a", state)
        failures = ("b: failed",) if "b" in targets else ()
        return RunOutcome(states={"a": StageState.DONE}, failures=failures)

    async def show_stages(states: Any, seconds: Any) -> None:
        assert seconds["a"] < 1  # between running and done, not since the clock began
        noted.append(("stages", states))

    async def show_results(root: Path, stages: Any) -> None:
        noted.append(("results", root, stages))

    monkeypatch.setattr(flows, "get_run_logger", lambda: logging.getLogger("test"))
    for stand_in in (run_graph, show_stages, show_results):
        monkeypatch.setattr(flows, stand_in.__name__, stand_in)
    return noted


def test_a_flow_hands_on_what_it_is_told_and_shows_what_came_of_it(
    shown: list[tuple[Any, ...]],
) -> None:
    found = asyncio.run(flows.reproduce.fn(["a"], 3, Path("there"), None, True))
    assert found == {"a": "done"}
    assert shown == [
        ("run", ["a"], 3, {"root": Path("there"), "pull": True}),
        ("stages", {"a": "done"}),
        ("results", Path("there"), {"a": "done"}),
    ]


def test_a_flow_that_fails_shows_its_stages_and_no_results(shown: list[tuple[Any, ...]]) -> None:
    with pytest.raises(PipelineError, match="^b: failed$"):
        asyncio.run(flows.reproduce.fn(["b"], 1))
    assert [each[0] for each in shown] == ["run", "stages"]
    assert shown[0][-1] == {"root": Path(), "pull": False}


def test_prefect_keeps_no_results_of_its_own() -> None:
    tasks = [flows.stage_task, flows.fresh_task]
    tasks += [getattr(schedule, f"{name}_task") for name in ("fetch", "clone", "push", "publish")]
    assert all(task.cache_policy == NO_CACHE for task in [*tasks, schedule.promote_task])
