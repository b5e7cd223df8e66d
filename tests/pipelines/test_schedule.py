"""Scheduled runs, on the servers and workers that one machine starts with `goa serve`.

Everything is asked over HTTP, as the user interface does: nothing of Prefect is imported here.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pipelines.serve import DATABASE
from tests.pipelines.conftest import Toy, alive
from tests.postgresql import Server
from tests.services import free_port

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
BRANCH = "reproduce-revision/branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A toy project with the services of `goa serve`, and a place for a second worker."""

    toy: Toy
    """The user's folder; what runs leave of events and controls is there, too."""
    remote: Path
    """DVC's remote."""
    environment: dict[str, str]
    """Of the workers."""

    def ask(self, path: str, body: Any = None) -> Any:
        """Call Prefect's API; where SQLite is busy, it says 503, and its client tries again."""
        request = urllib.request.Request(
            f"{self.environment['PREFECT_API_URL']}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        pauses = [1, 2, 4, 8]
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not pauses:
                    raise
            time.sleep(pauses.pop(0))

    def start(self, deployment: str, after: float = 0.0, **parameters: Any) -> str:
        """Have a deployment run in so many seconds; gives the flow run."""
        found = self.ask(f"deployments/name/{deployment}")
        when = (datetime.now(UTC) + timedelta(seconds=after)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
        body = {"state": state, "parameters": parameters}
        return self.ask(f"deployments/{found['id']}/create_flow_run", body)["id"]

    def end(self, run: str, seconds: float = 120) -> str:
        """Wait for a flow run's end and name its state."""
        final = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
        wait_until(lambda: self.ask(f"flow_runs/{run}")["state_type"] in final, seconds)
        return self.ask(f"flow_runs/{run}")["state_type"]

    def state(self, name: str) -> str:
        """Name the state of a flow run that has a name of its own; nothing before it is there."""
        found = self.ask("flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})
        return found[0]["state_type"] if found else ""

    def trainer(self, stage: str) -> list[int]:
        """Wait until a stage that was told to hang does; gives its processes."""
        path = self.toy.root / f"{stage}.pids"
        wait_until(lambda: path.exists() and bool(path.read_text()), 60)
        found = [int(process) for process in path.read_text().split()]
        path.unlink()
        return found


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the setting of Prefect's database: none, or, for a test that asks, PostgreSQL's."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return {}
    server: Server = request.getfixturevalue("postgresql")
    return {DATABASE: server.new_database("asyncpg")}


@pytest.fixture
def machine(
    committed_toy: Toy, tmp_path: Path, database: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Machine]:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    far = deployments["deployments"][-1]  # the branches, where a test starts workers for them
    if "machine_that_is_gone" in request.node.name:
        far["work_pool"] = {**far["work_pool"], "name": "far"}
    (committed_toy.root / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    remote = tmp_path / "remote"
    remote.mkdir()
    prefect, mlflow = free_port(), free_port()
    environment = {
        **os.environ,
        **database,
        "PYTHONPATH": str(ROOT),
        "TOY": str(committed_toy.root),
        "GOA_HOME": str(tmp_path / "home"),
        "GOA_REMOTE": str(remote),
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }
    argv = [sys.executable, "-m", "pipelines.cli", "serve"]
    ports = [f"--prefect-port={prefect}", f"--mlflow-port={mlflow}"]
    with (tmp_path / "serve.txt").open("w") as said:
        serving = subprocess.Popen(
            [*argv, *ports], cwd=committed_toy.root, env=environment, stdout=said, stderr=said
        )
    try:
        wait_until(lambda: "Ctrl-C" in (tmp_path / "serve.txt").read_text(), 120)
        added = {
            "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
        }
        yield Machine(toy=committed_toy, remote=remote, environment=environment | added)
    finally:
        processes = descendants(serving.pid)
        listening = addresses_of(processes)
        serving.send_signal(signal.SIGINT)
        serving.wait(60)
    assert (tmp_path / "serve.txt").read_text().endswith("\ninterrupted\n")
    assert len(processes) > 5
    assert listening == {"127.0.0.1"}
    assert (committed_toy.root / "prefect.db").exists() == (not database)
    wait_until(lambda: not any(map(alive, processes)), 30)


def addresses_of(processes: Collection[int]) -> set[str]:
    """Say at which addresses processes listen."""
    return {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.pid in processes and connection.status == psutil.CONN_LISTEN
    }


@contextlib.contextmanager
def worker(machine: Machine, folder: Path, pool: str = "goa") -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker as on another machine: with clones and caches of its own."""
    argv = ["-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    folder.mkdir()
    with (folder / "worker.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *argv, "--name", folder.name],
            cwd=folder,
            env={**machine.environment, "GOA_HOME": str(folder)},
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def descendants(process: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_run_starts_by_itself_and_leaves_the_users_folder_alone(machine: Machine) -> None:
    git = ["git", "status", "--porcelain", "--untracked-files=all"]
    before = subprocess.check_output(git, cwd=machine.toy.root)
    machine.toy.change("seed", 99)  # somebody is at work
    run = machine.start("nightly/on-demand", after=5, seeds=[7])
    assert machine.end(run) == "COMPLETED"
    assert machine.toy.ran() == {"prepare", "train@a", "train@b", "compare"}
    assert not (machine.toy.root / "out").exists()
    subprocess.run(["git", "checkout", "--quiet", "params.yaml"], cwd=machine.toy.root, check=True)
    assert subprocess.check_output(git, cwd=machine.toy.root) == before
    (runs,) = machine.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["runs"]}}})
    (row,) = json.loads(runs["data"])
    sha = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=machine.toy.root, text=True)
    assert row["git"] == sha.strip()
    assert row["overrides"] == "seed=7"
    lock = artifact(machine, row["mlflow"], "dvc.lock")
    assert hashlib.sha256(lock).hexdigest() == row["dvc.lock"]
    # Whoever has the revision and that dvc.lock has the results.
    machine.toy.change("seed", 7)
    (machine.toy.root / "dvc.lock").write_bytes(lock)
    machine.toy.dvc("remote", "add", "--local", "--default", "given", str(machine.remote))
    machine.toy.dvc("pull")
    assert (machine.toy.root / "out" / "data").read_text() == "7\n"


def artifact(machine: Machine, run: str, name: str) -> bytes:
    address = machine.environment["MLFLOW_TRACKING_URI"]
    with urllib.request.urlopen(f"{address}/get-artifact?path={name}&run_uuid={run}") as answer:
        return answer.read()


def test_work_that_is_shared_out_is_done_once_and_equals_that_of_one_machine(
    machine: Machine, tmp_path: Path
) -> None:
    with worker(machine, tmp_path / "second"):
        run = machine.start("nightly/on-demand", seeds=[7, 8], elsewhere=BRANCH)
        assert machine.end(run, 240) == "COMPLETED"
    ends = [event for event in machine.toy.events() if event[1] == "end"]
    # compare does not depend on the seed here: whichever run comes second finds it done.
    assert sorted(set(ends)) == sorted({(name, "end") for name in machine.toy.ran()})
    assert [ends.count((name, "end")) for name in ("prepare", "train@a", "train@b")] == [2, 2, 2]
    found = machine.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["runs"]}}})
    rows = [row for runs in found for row in json.loads(runs["data"])]
    for seed, row in zip((7, 8), rows, strict=True):
        machine.toy.change("seed", seed)
        machine.toy.dvc("repro", "--force")
        shared = yaml.safe_load(artifact(machine, row["mlflow"], "dvc.lock"))
        assert shared == machine.toy.lock()


def test_a_cancelled_run_ends_its_training_and_can_be_taken_up(machine: Machine) -> None:
    machine.toy.tell("train@a", "hang")
    run = machine.start("nightly/on-demand")
    processes = machine.trainer("train@a")
    machine.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: not any(map(alive, processes)), 30)
    assert machine.end(run) == "CANCELLED"
    (machine.toy.root / "control" / "train@a").unlink()
    assert machine.end(machine.start("nightly/on-demand")) == "COMPLETED"
    assert machine.toy.events().count(("prepare", "end")) == 1


def test_a_flow_that_is_killed_leaves_no_training_and_is_run_again(machine: Machine) -> None:
    machine.toy.tell("train@a", "hang")
    run = machine.start("nightly/on-demand", elsewhere=BRANCH)
    processes = machine.trainer("train@a")
    (machine.toy.root / "control" / "train@a").unlink()
    os.kill(flow_process(processes[0]), signal.SIGKILL)
    wait_until(lambda: not any(map(alive, processes)), 30)
    assert machine.end(run, 180) == "COMPLETED"
    assert machine.toy.events().count(("train@a", "start")) == 2
    assert machine.toy.events().count(("train@b", "start")) == 1


def test_the_work_of_a_machine_that_is_gone_is_taken_up_by_another(
    machine: Machine, tmp_path: Path
) -> None:
    machine.toy.tell("train@a", "hang")
    with worker(machine, tmp_path / "first", "far") as first:
        run = machine.start("nightly/on-demand", elsewhere=BRANCH)
        processes = machine.trainer("train@a")
        wait_until(lambda: machine.state("train@b (1)") == "COMPLETED", 90)
        (machine.toy.root / "control" / "train@a").unlink()
        for process in descendants(first.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, processes)), 30)
    with worker(machine, tmp_path / "other", "far"):
        assert machine.end(run, 240) == "COMPLETED"
    assert machine.toy.events().count(("train@a", "start")) == 2
    assert machine.toy.events().count(("train@b", "start")) == 1


def flow_process(process: int) -> int:
    """Find the process of the flow that a stage's process runs for."""
    while "prefect" not in command_line(process):
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


def command_line(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()
