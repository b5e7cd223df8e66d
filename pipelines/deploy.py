"""Bringing prefect.yaml to a Prefect server, with what it names there."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from goa.errors import PipelineError, first_line, hide_secrets
from goa.settings import read_yaml
from pipelines.devices import visible_gpus
from pipelines.processes import stage_environment

DEPLOYMENTS = Path("prefect.yaml")
REPOSITORY, REMOTE = "GOA_REPOSITORY", "GOA_REMOTE"
SILENCE_SECONDS = 90
"""After which a run that gave signs of life counts as crashed; prefect.yaml says how often they
come."""
WATCH = "goa: runs whose machine went away"
TAG = "goa"
"""Of the deployments in prefect.yaml: nobody else's runs are watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What is at the server now."""

    api: str
    """The server's address."""
    names: tuple[str, ...]
    """Deployments."""
    pools: tuple[str, ...]
    """Work pools they go to."""
    made: tuple[str, ...]
    """Those of them that were missing; they are for processes now."""


def deploy(root: Path, gpus: int | None = None) -> Deployed:
    """Bring the deployments of a project to the server, and make what they name if it is missing.

    Args:
        root: the project's folder, with prefect.yaml.
        gpus: slots of a limit that is made; by default as many as there are GPUs here, at least 1.

    Raises:
        PipelineError: no server is named, or it does not answer, or it refuses.
    """
    api = server_address()
    try:
        wanted = read_yaml(root / DEPLOYMENTS)["deployments"]
        names = tuple(str(given["name"]) for given in wanted)
        pools = sorted({given["work_pool"]["name"] for given in wanted})
        limits = sorted({given["parameters"].get("limit") for given in wanted} - {None})
    except (LookupError, TypeError, AttributeError):
        raise PipelineError(
            f"{root / DEPLOYMENTS}: expected a list of deployments, each with a name, "
            "work_pool.name and parameters; the file that comes with goa shows them"
        ) from None
    try:
        with get_client(sync_client=True) as client:
            made = tuple(pool for pool in pools if _make_pool(client, pool))
            for limit in limits:
                _make_limit(client, limit, gpus or max(1, len(visible_gpus())))
            _make_watch(client)
    except httpx.HTTPError as error:
        raise PipelineError(
            f"{api}: the Prefect server cannot be used: {first_line(error)}"
        ) from None
    _deploy_all(root)
    return Deployed(api=hide_secrets(api), names=names, pools=tuple(pools), made=made)


def server_address() -> str:
    """Give the address of the Prefect server.

    Raises:
        PipelineError: none is named: Prefect would start a server inside each process, where no
            schedule ever fires.
    """
    address = PREFECT_API_URL.value()
    if not address:
        raise PipelineError(
            "PREFECT_API_URL names no Prefect server. Without one, Prefect runs a server inside "
            "each process, and a schedule there never fires. Start one with `goa serve`, which "
            "deploys too, or with `prefect server start`, and set PREFECT_API_URL to its address"
        )
    return str(address)


def deployment_environment(root: Path) -> Mapping[str, str]:
    """Give the environment that prefect.yaml is filled in from."""
    found = stage_environment()
    found.setdefault(REPOSITORY, str(root.resolve()))
    return found


def _make_pool(client: SyncPrefectClient, name: str) -> bool:
    """Make a pool for processes, if there is no pool of any type by that name; says if it did."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        return True
    return False


def _make_limit(client: SyncPrefectClient, name: str, slots: int) -> None:
    try:
        client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))


def _make_watch(client: SyncPrefectClient) -> None:
    """Have the server call a run crashed that has given signs of life and no longer does.

    Nobody else would notice a machine that is gone, and the run would count as running for ever.
    """
    heartbeat = "prefect.flow-run.heartbeat"
    # AwaitingRetry: its machine was taken away, and it is silent until it has another.
    names = ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry")
    ends = {f"prefect.flow-run.{name}" for name in names}
    watch = AutomationCore(
        name=WATCH,
        trigger=EventTrigger(
            after={heartbeat},
            expect={heartbeat, *ends},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            match_related={
                "prefect.resource.id": [f"prefect.tag.{TAG}"],
                "prefect.resource.role": ["tag"],
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"No sign of life for {SILENCE_SECONDS} seconds."
            )
        ],
    )
    if not client.read_automations_by_name(WATCH):
        client.create_automation(watch)


def _deploy_all(root: Path) -> None:
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        argv,
        cwd=root,
        env=dict(deployment_environment(root)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PipelineError(f"prefect deploy failed:\n{(done.stderr or done.stdout).strip()}")
