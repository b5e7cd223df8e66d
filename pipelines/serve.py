"""What a single machine needs, in one command: Prefect's server, a worker, MLflow's server."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from goa.errors import PipelineError
from pipelines import supervise
from pipelines.deploy import DEPLOYMENTS
from pipelines.processes import last_lines, stage_environment
from pipelines.publish import initialise_store

HOST = "127.0.0.1"
START_SECONDS = 120.0
"""How long a server may take until it answers."""
POLL_SECONDS = 0.5
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # One small process for one machine; MLflow would start eleven.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}

DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
"""Where Prefect's server keeps what it knows; a file in the project, unless this names another."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the servers listen, on loopback."""

    prefect: int = 4200
    mlflow: int = 5000


@dataclass(slots=True, kw_only=True)
class Service:
    """A process that runs as long as we do."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]


def serve(root: Path, ports: Ports, say: Say) -> None:
    """Run everything until interrupted, or until a part of it ends by itself.

    Raises:
        PipelineError: a port is taken, a server does not answer, or a part ended.
    """
    root = root.resolve()
    for port in (ports.prefect, ports.mlflow):
        _insist_on_free(port)
    prefect, mlflow = f"http://{HOST}:{ports.prefect}", f"http://{HOST}:{ports.mlflow}"
    added = {
        **{name: value for name, value in QUIET.items() if name not in os.environ},
        "PREFECT_API_URL": f"{prefect}/api",
        DATABASE: os.environ.get(DATABASE, f"sqlite+aiosqlite:///{root / 'prefect.db'}"),
        "PREFECT_SERVER_UI_API_URL": f"{prefect}/api",
        "MLFLOW_TRACKING_URI": mlflow,
    }
    environment = stage_environment() | added
    # The database before the servers: several that meet a new one ruin it.
    initialise_store(root)
    with contextlib.ExitStack() as stack:
        services = [
            stack.enter_context(_started("prefect", _prefect(ports), root, environment)),
            stack.enter_context(_started("mlflow", _mlflow(ports, root), root, environment)),
        ]
        _await(f"{prefect}/api/health", services)
        _await(f"{mlflow}/health", services)
        say(f"Prefect  {prefect}")
        say(f"MLflow   {mlflow}")
        if (root / DEPLOYMENTS).exists():
            say(_deploy(root, environment))
        worker = ["-m", "prefect", "worker", "start", "--pool", "goa", "--type", "process"]
        services.append(stack.enter_context(_started("worker", worker, root, environment)))
        say(f"Elsewhere: export PREFECT_API_URL={prefect}/api MLFLOW_TRACKING_URI={mlflow}")
        say("Ctrl-C ends it all.")
        while True:
            _insist_on_running(services)
            time.sleep(POLL_SECONDS)


def _prefect(ports: Ports) -> list[str]:
    return ["-m", "prefect", "server", "start", "--host", HOST, "--port", str(ports.prefect)]


def _mlflow(ports: Ports, root: Path) -> list[str]:
    options = {
        "--host": HOST,
        "--port": str(ports.mlflow),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{quote(str(root / 'mlflow.db'))}",
        "--artifacts-destination": str(root / "mlartifacts"),
    }
    return ["-m", "mlflow", "server", *(word for option in options.items() for word in option)]


def _deploy(root: Path, environment: Mapping[str, str]) -> str:
    # In a process of its own, which reads Prefect's settings from the environment.
    argv = [sys.executable, "-m", "pipelines.cli", "deploy"]
    done = subprocess.run(
        argv, cwd=root, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PipelineError(done.stderr.strip().removeprefix("error: "))
    return done.stdout.strip()


@contextlib.contextmanager
def _started(
    name: str, arguments: Sequence[str], root: Path, environment: Mapping[str, str]
) -> Iterator[Service]:
    """Start a program under a supervisor, which ends it when we go, however we go."""
    log = root / ".goa" / "logs" / f"serve-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            supervise.command([sys.executable, *arguments]),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=root,
            env=dict(environment),
            start_new_session=True,  # an interrupt from the keyboard reaches us, and we end it
        )
    try:
        yield Service(name=name, log=log, process=process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _await(address: str, services: Sequence[Service]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        _insist_on_running(services)
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        if time.monotonic() > deadline:
            raise PipelineError(f"{address}: no answer after {START_SECONDS:.0f} seconds")
        time.sleep(POLL_SECONDS)


def _insist_on_running(services: Sequence[Service]) -> None:
    for service in services:
        code = service.process.poll()
        if code is not None:
            raise PipelineError(
                f"{service.name} ended with exit code {code}; the end of {service.log}:\n"
                f"{last_lines(service.log)}"
            )


def _insist_on_free(port: int) -> None:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            raise PipelineError(
                f"port {port} is taken: something else listens there, or `goa serve` runs already; "
                "name another one with --prefect-port or --mlflow-port"
            ) from None
