"""One machine's services, with stand-ins for the servers; real ones are in test_schedule.py."""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from goa.errors import PipelineError
from pipelines import serve as module
from pipelines.serve import Ports, Service, serve
from tests.pipelines.conftest import alive

STOP = "told to stop"


def running(root: Path, script: str, **environment: str) -> Any:
    return module._started("toy", ["-c", script], root, environment)


def test_a_service_ends_when_we_do_and_leaves_a_log(tmp_path: Path) -> None:
    script = "import os, time; print(os.getpid(), os.environ['SAYS'], flush=True); time.sleep(600)"
    with running(tmp_path, script, SAYS="hello") as service:
        assert service.log == tmp_path / ".goa" / "logs" / "serve-toy.log"
        deadline = time.monotonic() + 60
        while not service.log.read_text().endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        module._insist_on_running([service])
        process, said = service.log.read_text().split()
    assert said == "hello"
    assert not alive(int(process))


def test_a_service_that_ends_by_itself_is_named_with_its_last_words(tmp_path: Path) -> None:
    with running(tmp_path, "import sys; print('no disk'); sys.exit(3)") as service:
        service.process.wait(60)
        with pytest.raises(PipelineError, match=r"(?s)toy ended with exit code 3; .*no disk"):
            module._insist_on_running([service])
        # Nobody waits for an answer of what has ended.
        with pytest.raises(PipelineError, match="toy ended with exit code 3"):
            module._await("http://127.0.0.1:9/health", [service])


class Healthy(BaseHTTPRequestHandler):
    """Answers whatever is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    with socket.socket() as found:
        found.bind((module.HOST, 0))
        port = found.getsockname()[1]
    address = f"http://{module.HOST}:{port}/health"
    monkeypatch.setattr(module, "START_SECONDS", 0.1)
    with pytest.raises(PipelineError, match=f"{address}: no answer after 0 seconds"):
        module._await(address, [])
    monkeypatch.setattr(module, "START_SECONDS", 60)
    with HTTPServer((module.HOST, port), Healthy) as server:
        threading.Thread(target=server.serve_forever).start()
        module._await(address, [])
        server.shutdown()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind((module.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PipelineError, match=f"port {port} is taken"):
            module._insist_on_free(port)
        with pytest.raises(PipelineError, match=f"port {port} is taken"):
            serve(Path(), Ports(prefect=1, mlflow=port), print)
    module._insist_on_free(port)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stand in for the services; gives what is begun, in order, and stops when all is."""
    done: list[tuple[Any, ...]] = []

    @contextlib.contextmanager
    def started(name: str, arguments: Any, root: Path, environment: Any) -> Iterator[Service]:
        done.append((name, [*arguments], root, dict(environment)))
        try:
            yield Service(name=name, log=root / name, process=None)  # type: ignore[arg-type]
        finally:
            done.append((f"{name} ends",))

    def insist(services: Any) -> None:
        assert [service.name for service in services] == ["prefect", "mlflow", "worker"]
        raise PipelineError(STOP)

    def deploy(*given: Any) -> str:
        done.append(("deploy", *given))
        return "deployed"

    monkeypatch.setattr(module, "_insist_on_free", lambda port: done.append(("free", port)))
    monkeypatch.setattr(module, "initialise_store", lambda root: done.append(("store", root)))
    monkeypatch.setattr(module, "_started", started)
    monkeypatch.setattr(module, "_await", lambda address, _: done.append(("await", address)))
    monkeypatch.setattr(module, "_deploy", deploy)
    monkeypatch.setattr(module, "_insist_on_running", insist)
    return done


def served(root: Path) -> list[str]:
    """Serve until told to stop; gives what is said."""
    said: list[str] = []
    with pytest.raises(PipelineError, match=STOP):
        serve(root, Ports(prefect=4201, mlflow=5001), said.append)
    return said


def test_servers_are_up_before_anything_is_deployed_and_the_worker_comes_last(
    tmp_path: Path, begun: list[tuple[Any, ...]]
) -> None:
    (tmp_path / "prefect.yaml").touch()
    said = served(tmp_path)
    names = [(each[0], each[1]) if each[0] == "await" else each[0] for each in begun]
    assert names == [
        "free",
        "free",
        "store",
        "prefect",
        "mlflow",
        ("await", "http://127.0.0.1:4201/api/health"),
        ("await", "http://127.0.0.1:5001/health"),
        "deploy",
        "worker",
        "worker ends",
        "mlflow ends",
        "prefect ends",
    ]
    assert begun[:3] == [("free", 4201), ("free", 5001), ("store", tmp_path)]
    assert "deployed" in said
    told = "PREFECT_API_URL=http://127.0.0.1:4201/api MLFLOW_TRACKING_URI=http://127.0.0.1:5001"
    assert any(told in line for line in said)


def test_everything_listens_on_loopback_and_keeps_its_data_in_the_project(
    tmp_path: Path, begun: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    served(tmp_path)
    services = {each[0]: each[1:] for each in begun if len(each) == 4}
    assert services.keys() == {"prefect", "mlflow", "worker"}  # no prefect.yaml: no deploying
    for name in ("prefect", "mlflow"):
        words = services[name][0]
        assert words[words.index("--host") + 1] == "127.0.0.1"
    words = services["mlflow"][0]
    assert words[words.index("--backend-store-uri") + 1] == f"sqlite:///{tmp_path}/mlflow.db"
    assert words[words.index("--artifacts-destination") + 1] == f"{tmp_path}/mlartifacts"
    for _, root, environment in services.values():
        assert root == tmp_path
        assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4201/api"
        assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
        database = environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
        assert database == f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert environment["DO_NOT_TRACK"] == "0"  # as the user says
    assert services["worker"][0][2:] == ["worker", "start", "--pool", "goa", "--type", "process"]


def test_what_deploying_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$@"\necho "error: refused" >&2\nexit $CODE\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    assert module._deploy(tmp_path, {"CODE": "0"}) == "-m pipelines.cli deploy"
    with pytest.raises(PipelineError, match="^refused$"):
        module._deploy(tmp_path, {"CODE": "2"})
