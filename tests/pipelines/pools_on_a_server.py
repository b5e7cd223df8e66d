"""The work pools on a real, temporary Prefect server, and what workers make of them."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)
from prefect.states import AwaitingRetry
from prefect.testing.utilities import prefect_test_harness

from pipelines.deploy import WATCH, deploy
from tests.pipelines.conftest import Toy

ROOT = Path(__file__).parents[2]
KINDS = ["docker", "kubernetes"]
IMAGE = {"image": "registry.example/goa:1"}
SECRETS = {"AWS_SECRET_ACCESS_KEY": "s3cret", "PREFECT_API_AUTH_STRING": "user:s3cret"}
COMMAND = ["prefect", "flow-run", "execute"]

# Prefect's client leaves connections to its server for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.*127.0.0.1:ResourceWarning")


@pytest.fixture(scope="session", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Prefect server with a database of its own; gives its address."""
    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home}), prefect_test_harness(120):
        yield PREFECT_API_URL.value()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Collect Prefect's garbage here, not in a later test where its warnings count."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def pools(server: str) -> dict[str, WorkPool]:
    """Make the pools as the documentation says."""
    for kind in KINDS:
        argv = [sys.executable, "-m", "prefect", "work-pool", "create", f"goa-{kind}"]
        options = ["--type", kind, "--base-job-template", str(ROOT / "pools" / f"{kind}.json")]
        environment = {**os.environ, "PREFECT_API_URL": server}
        subprocess.run([*argv, *options], env=environment, check=True)

    async def read() -> dict[str, WorkPool]:
        async with get_client() as client:
            return {kind: await client.read_work_pool(f"goa-{kind}") for kind in KINDS}

    return asyncio.run(read())


@pytest.fixture(params=KINDS)
def pool(request: pytest.FixtureRequest, pools: dict[str, WorkPool]) -> WorkPool:
    return pools[request.param]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the worker secrets of its own."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["AWS_SECRET_ACCESS_KEY"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    with temporary_settings({PREFECT_API_AUTH_STRING: SECRETS["PREFECT_API_AUTH_STRING"]}):
        yield


def bring(project: Path, pool: WorkPool, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """Deploy prefect.yaml as it stands, but to this pool."""
    given = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    for deployment in given["deployments"]:
        deployment["work_pool"]["name"] = pool.name
    (project / "prefect.yaml").write_text(yaml.safe_dump(given))
    monkeypatch.setenv("PREFECT_API_URL", server)
    deployed = deploy(project)
    assert (deployed.pools, deployed.made) == ((pool.name,), ())


async def start(deployment: str, **given: Any) -> FlowRun:
    """Have the server make a flow run."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        return await client.create_flow_run_from_deployment(found.id, **given)


async def configuration(pool: WorkPool, run: FlowRun | None, given: Mapping[str, Any]) -> Any:
    """Have the worker's own class fill in the pool's template for a flow run."""
    if pool.type == "docker":
        worker = pytest.importorskip("prefect_docker.worker").DockerWorker
    else:
        worker = pytest.importorskip("prefect_kubernetes.worker").KubernetesWorker
    nobody = {"flow_id": "00000000-0000-4000-8000-000000000000", "name": "wise-owl"}
    async with get_client() as client:
        filled = await worker.job_configuration.from_template_and_values(
            pool.base_job_template, dict(given), client=client
        )
    filled.prepare_for_flow_run(
        run or FlowRun.model_validate(nobody), work_pool=pool, worker_name="here"
    )
    return filled


class Engine:
    """As much of Docker's client as making a container's settings asks for."""

    def version(self) -> dict[str, str]:
        return {"Version": "28.0.0"}


def container(pool: WorkPool, run: FlowRun | None = None, **given: Any) -> dict[str, Any]:
    """Give what Docker's client would be asked to create."""
    filled = asyncio.run(configuration(pool, run, given))
    worker = pytest.importorskip("prefect_docker.worker").DockerWorker(pool.name, test_mode=True)
    settings = worker._build_container_settings(Engine(), filled)
    models = pytest.importorskip("docker.models.containers")
    return models._create_container_args({**settings, "version": "1.48"})


def manifest(pool: WorkPool, run: FlowRun | None = None, **given: Any) -> dict[str, Any]:
    """Give what Kubernetes's API would be asked to create."""
    return asyncio.run(configuration(pool, run, IMAGE | given)).job_manifest


def asked_environment(job: Mapping[str, Any]) -> dict[str, str]:
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in only["env"]}


def test_a_pool_is_made_as_its_file_says(pool: WorkPool) -> None:
    template = json.loads((ROOT / "pools" / f"{pool.type}.json").read_text(encoding="utf-8"))
    assert pool.base_job_template == template


def test_deployments_go_to_a_pool_that_is_left_as_it_is(
    pool: WorkPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    bring(tmp_path, pool, monkeypatch, server)

    async def read() -> tuple[WorkPool, Any]:
        async with get_client() as client:
            found = await client.read_deployment_by_name("nightly/nightly")
            return await client.read_work_pool(pool.name), found

    kept, nightly = asyncio.run(read())
    assert (kept.type, kept.base_job_template) == (pool.type, pool.base_job_template)
    assert nightly.work_pool_name == pool.name
    assert asyncio.run(start("nightly/on-demand", job_variables=IMAGE))
    with pytest.raises(PrefectHTTPStatusError, match="gpus.*'two' is not valid"):
        asyncio.run(start("nightly/on-demand", job_variables=IMAGE | {"gpus": "two"}))
    if pool.type == "kubernetes":
        with pytest.raises(PrefectHTTPStatusError, match="'image' is a required property"):
            asyncio.run(start("nightly/on-demand"))


def test_a_container_has_image_gpus_memory_and_a_home(pools: dict[str, WorkPool]) -> None:
    asked = container(pools["docker"])
    host = asked["host_config"]
    assert (asked["image"], asked["command"].split()) == ("goa", COMMAND)
    (devices,) = host["DeviceRequests"]
    assert (devices["Count"], devices["Capabilities"]) == (-1, [["gpu"]])
    assert host["ShmSize"] == 8 * 1024**3
    assert host["Binds"] == ["goa-home:/home/goa"]
    assert (host["Init"], host["CapDrop"]) == (True, ["ALL"])
    other = container(pools["docker"], gpus=2, image="other:1", shared_memory="1g")
    assert other["host_config"]["DeviceRequests"][0]["Count"] == 2
    assert other["host_config"]["ShmSize"] == 1024**3
    assert other["image"] == "other:1"


def test_a_container_reaches_a_server_on_its_machine_and_one_elsewhere(
    pools: dict[str, WorkPool], server: str
) -> None:
    here = container(pools["docker"])
    assert here["host_config"]["NetworkMode"] == "host"
    assert here["environment"]["PREFECT_API_URL"] == server
    with temporary_settings({PREFECT_API_URL: "http://prefect:4200/api"}):
        elsewhere = container(pools["docker"], networks=["goa_default"])
    assert list(elsewhere["networking_config"]) == ["goa_default"]
    assert elsewhere["environment"]["PREFECT_API_URL"] == "http://prefect:4200/api"


@pytest.mark.usefixtures("secrets")
def test_a_container_has_its_workers_secrets_and_the_server_none(
    pools: dict[str, WorkPool],
) -> None:
    found = container(pools["docker"], env={"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"})
    assert SECRETS.items() <= found["environment"].items()
    assert found["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert found["environment"]["AWS_ACCESS_KEY_ID"] == ""  # boto takes it for none
    assert found["environment"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert "PREFECT_HOME" not in found["environment"]  # a folder of the worker's
    assert "s3cret" not in json.dumps(pools["docker"].base_job_template)


def test_a_job_asks_for_gpus_memory_and_volumes_in_words_that_kubernetes_knows(
    pools: dict[str, WorkPool],
) -> None:
    asked = manifest(pools["kubernetes"], gpus=2, node_selector={"a": "b"}, home_claim="mine")
    spec = asked["spec"]["template"]["spec"]
    (only,) = spec["containers"]
    assert (only["image"], only["args"]) == (IMAGE["image"], COMMAND)
    assert only["resources"]["limits"] == {"nvidia.com/gpu": 2, "memory": "32Gi"}
    assert only["resources"]["requests"] == {"cpu": "4", "memory": "32Gi"}
    assert spec["nodeSelector"] == {"a": "b"}
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "mine"}
    # Prefect insists on these two; Kubernetes knows them elsewhere only, and ignores them here.
    del spec["parallelism"], spec["completions"]
    only["resources"]["limits"]["nvidia.com/gpu"] = "2"  # its client writes quantities as text
    assert asyncio.run(understood(asked)) == asked


async def understood(asked: Mapping[str, Any]) -> Any:
    """Read a job as Kubernetes's client does, which drops what it does not know, and write it."""
    client = pytest.importorskip("kubernetes_asyncio.client")
    async with client.ApiClient() as api:
        return api.sanitize_for_serialization(api._ApiClient__deserialize(asked, "V1Job"))


@pytest.mark.usefixtures("secrets")
def test_a_job_names_its_secret_and_holds_none(pools: dict[str, WorkPool], server: str) -> None:
    given = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    asked = manifest(pools["kubernetes"], env=given, secret="mine")
    (only,) = asked["spec"]["template"]["spec"]["containers"]
    assert only["envFrom"] == [{"secretRef": {"name": "mine"}}]
    assert "s3cret" not in json.dumps(asked)
    found = asked_environment(asked)
    # What stands here would take precedence over the secret, or lead to a folder of the worker's.
    assert not {*SECRETS, "MLFLOW_TRACKING_URI", "PREFECT_HOME"} & {*found}
    assert given.items() <= found.items()
    assert found["PREFECT_API_URL"] == server


def test_an_evicted_job_gives_its_run_back_to_the_server(pools: dict[str, WorkPool]) -> None:
    found = asked_environment(manifest(pools["kubernetes"]))
    assert found["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"


def test_a_run_that_waits_for_another_machine_does_not_count_as_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    given = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(given))
    monkeypatch.setenv("PREFECT_API_URL", server)
    assert deploy(tmp_path).made == ("goa",)

    async def read() -> Any:
        async with get_client() as client:
            (watch,) = await client.read_automations_by_name(WATCH)
            return watch.trigger

    assert f"prefect.flow-run.{AwaitingRetry().name}" in asyncio.run(read()).expect


@pytest.fixture
def execute(
    pools: dict[str, WorkPool],
    committed_toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
) -> Callable[[str], tuple[FlowRun, Callable[[], subprocess.Popen[str]]]]:
    """Make a flow run for a pool, and a way to start it as the image would, in an empty folder."""

    def make(kind: str) -> tuple[FlowRun, Callable[[], subprocess.Popen[str]]]:
        bring(committed_toy.root, pools[kind], monkeypatch, server)
        given = {"source": {"repository": str(committed_toy.root)}, "targets": ["prepare"]}
        asked = {"parameters": {**given, "limit": None}, "job_variables": IMAGE}
        run = asyncio.run(start("reproduce-revision/branch", **asked))
        if kind == "docker":
            added = container(pools[kind], run)["environment"]
        else:
            added = asked_environment(manifest(pools[kind], run))
        for name in ("empty", "home"):
            (tmp_path / name).mkdir()
        image = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),  # the image's environment knows where goa lies
            "TOY": str(committed_toy.root),
        }
        log = tmp_path / "log.txt"

        def begin() -> subprocess.Popen[str]:
            with log.open("a") as said:
                return subprocess.Popen(
                    COMMAND,
                    cwd=tmp_path / "empty",
                    env=image | added,
                    stdout=said,
                    stderr=said,
                    text=True,
                )

        return run, begin

    return make


async def state(run: FlowRun) -> str:
    async with get_client() as client:
        found = (await client.read_flow_run(run.id)).state
    return found.name if found else ""


def test_what_a_pool_starts_runs_a_flow_from_an_empty_folder(
    execute, committed_toy: Toy, tmp_path: Path
) -> None:
    run, begin = execute("docker")
    assert begin().wait(120) == 0, (tmp_path / "log.txt").read_text()
    assert asyncio.run(state(run)) == "Completed"
    assert committed_toy.ran() == {"prepare"}
    assert list((tmp_path / "home").glob(".cache/goa/mirrors/*.git"))


def test_a_run_whose_pod_is_evicted_is_taken_up_by_the_next(
    execute, committed_toy: Toy, tmp_path: Path
) -> None:
    committed_toy.tell("prepare", "wait")
    run, begin = execute("kubernetes")
    first = begin()
    deadline = time.monotonic() + 60
    while not committed_toy.events():
        assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    assert asyncio.run(state(run)) == "AwaitingRetry"
    assert committed_toy.ran() == set()
    (committed_toy.root / "control" / "prepare").unlink()
    assert begin().wait(120) == 0, (tmp_path / "log.txt").read_text()
    assert asyncio.run(state(run)) == "Completed"
    assert committed_toy.ran() == {"prepare"}
