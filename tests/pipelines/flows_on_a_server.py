"""The Prefect flow on a real, temporary Prefect server: what the locked versions can do."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from goa.errors import PipelineError
from pipelines.flows import reproduce

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
    # Prefect's client leaves connections to its server for the garbage collector to close.
    pytest.mark.filterwarnings("ignore:unclosed <socket.*127.0.0.1:ResourceWarning"),
]


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run a Prefect server with a database of its own."""
    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home}), prefect_test_harness(120):
        yield


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect Prefect's garbage here, not in a later test where its warnings count."""
    yield
    gc.collect()


async def recorded(name: str) -> str:
    """Ask the server how a task ended; the client reports that a little later."""
    async with asyncio.timeout(30), get_client() as client:
        while True:
            for run in await client.read_task_runs():
                if run.name == name and run.state is not None and run.state.is_final():
                    return run.state.name
            await asyncio.sleep(0.1)


def test_a_flow_brings_the_project_up_to_date(toy) -> None:
    states = asyncio.run(reproduce(["train@b"], 2, toy.root))
    assert states == {"prepare": "done", "train@b": "done"}
    assert set(toy.lock()["stages"]) == {"prepare", "train@b"}
    assert asyncio.run(recorded("train@b")) == "Completed"


def test_a_failed_stage_fails_the_flow_with_its_log(toy) -> None:
    toy.tell("train@a", "fail")
    with pytest.raises(PipelineError, match=r"(?s)train@a.*told to fail"):
        asyncio.run(reproduce(["train"], 2, toy.root))
    assert toy.ran() == {"prepare", "train@b"}
    assert asyncio.run(recorded("train@a")) == "Failed"
