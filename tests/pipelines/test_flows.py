"""The Prefect flow on real, temporary Prefect servers: what the locked versions can do.

Prefect's and MLflow's tables cannot be mapped by SQLAlchemy in one process, so what stands in
flows_on_a_server.py must not share one with the tests of publishing.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.serve import QUIET
from tests.postgresql import Server
from tests.services import HOST, answering, free_port

CHECKS = Path(__file__).with_name("flows_on_a_server.py")


@pytest.fixture(params=["sqlite", "postgresql"])
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
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", CHECKS],
        cwd=Path(__file__).parents[2],
        env=client,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
