"""MLflow as compose.yaml starts it, on PostgreSQL: it asks who is there, and under which name."""

import base64
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.postgresql import Server
from tests.services import HOST, answering, free_port

COMPOSE = Path(__file__).parents[1] / "compose.yaml"
PASSWORD, KEY = "long-enough-for-mlflow", "key-of-the-pages"
EXPERIMENTS = "api/2.0/mlflow/experiments/search?max_results=1"

pytestmark = pytest.mark.long


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server."""

    address: str
    log: Path
    service: Any
    """What compose.yaml says of it."""


@pytest.fixture(scope="module")
def served(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start the command of compose.yaml; only what is of the containers' network is replaced."""
    pytest.importorskip("flask_wtf", reason="MLflow's accounts need goa[passwords]")
    folder = tmp_path_factory.mktemp("mlflow")
    content = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    service = content["services"]["mlflow"]
    settings = folder / "auth.ini"
    asked = content["configs"]["mlflow-auth"]["content"]
    database = "postgresql+psycopg://goa@postgres/mlflow_auth"
    assert database in asked
    settings.write_text(asked.replace(database, postgresql.new_database()))
    replaced = {
        "MLFLOW_BACKEND_STORE_URI": postgresql.new_database(),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": KEY,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    port = free_port()
    command = service["command"][-1].replace("$$", "$")
    for old, new in {
        "--host 0.0.0.0 --port 5000": f"--host {HOST} --port {port}",
        "s3://goa/mlflow": str(folder / "artifacts"),
    }.items():
        assert old in command
        command = command.replace(old, new)
    argv = ["sh", "-c", command]
    address, log = f"http://{HOST}:{port}", folder / "log"
    environment = {**os.environ, **service["environment"], **replaced}
    with answering(argv, f"{address}/health", log, environment):
        yield Served(address=address, log=log, service=service)


def status(served: Served, path: str, password: str | None = None, host: str | None = None) -> int:
    """Ask for a page; give the status of the answer."""
    request = urllib.request.Request(f"{served.address}/{path}")
    if password is not None:
        known = base64.b64encode(f"goa:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {known}")
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_whoever_does_not_know_the_password_sees_nothing(served: Served) -> None:
    assert status(served, EXPERIMENTS) == 401
    assert status(served, EXPERIMENTS, "guessed") == 401
    assert status(served, "") == 401
    assert status(served, EXPERIMENTS, PASSWORD) == 200


def test_a_client_that_calls_it_by_another_name_is_refused(served: Served) -> None:
    assert status(served, EXPERIMENTS, PASSWORD, host="mlflow:5000") == 200
    assert status(served, EXPERIMENTS, PASSWORD, host="attacker.example") == 403


def test_the_health_check_knows_the_password_and_fails_without(served: Served) -> None:
    *_, code = served.service["healthcheck"]["test"]
    here = code.replace("http://mlflow:5000", served.address)
    assert here != code
    for known, expected in ((PASSWORD, 0), ("guessed", 1)):
        environment = {**os.environ, "MLFLOW_AUTH_ADMIN_PASSWORD": known}
        done = subprocess.run(
            [sys.executable, "-c", here], env=environment, capture_output=True, check=False
        )
        assert done.returncode == expected, done.stderr


def test_its_log_has_no_secret(served: Served, postgresql: Server) -> None:
    written = served.log.read_text()
    assert written
    for secret in (PASSWORD, KEY, postgresql.password):
        assert secret not in written
