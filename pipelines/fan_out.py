"""Sharing a graph out over machines that a Prefect work pool names."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from goa.errors import PipelineError
from pipelines.stage_graph import StageGraph

ATTEMPTS = 3
"""How often a branch is given to the pool whose machine went away."""
POLL_SECONDS = 3.0


def branches(graph: StageGraph) -> tuple[list[str], list[str]]:
    """Cut a graph into what is run once and what can be run apart.

    Returns the shared stages that nothing shared needs, and the ends of the branches: the stages
    that the last ones (``compare``) need. All that a branch needs beside the shared is its own.
    """
    needed = {parent for parents in graph.parents.values() for parent in parents}
    last = [name for name in graph.stages if name not in needed]
    feeding = {parent for name in last for parent in graph.parents[name]}
    # compare needs both the evaluation of a policy and the history of its fine-tuning: one branch.
    needed_too = {name for end in feeding for name in graph.select([end]) if name != end}
    closures = {end: set(graph.select([end])) for end in feeding - needed_too}
    shared = {
        name for name in graph.stages if sum(name in closure for closure in closures.values()) > 1
    }
    below = {parent for name in shared for parent in graph.parents[name]}
    trunk = [name for name in graph.stages if name in shared and name not in below]
    return trunk, [name for name in graph.stages if name in closures]


async def run_elsewhere(deployment: str, work: Sequence[Mapping[str, Any]]) -> None:
    """Run a deployment once for each set of parameters, side by side; wait for all.

    A run whose machine went away is given to the pool again. Cancelling cancels the runs.

    Raises:
        PipelineError: runs failed; the others were waited for.
    """
    ends = await asyncio.gather(*(_run(deployment, dict(given)) for given in work))
    if failures := [end for end in ends if end is not None]:
        raise PipelineError("\n".join(failures))


async def _run(deployment: str, given: dict[str, Any]) -> str | None:
    """Run a deployment to its end; says what went wrong."""
    logger = get_run_logger()
    name = " ".join(given["targets"])
    for attempt in range(1, ATTEMPTS + 1):
        run = await run_deployment(  # type: ignore[misc]
            deployment, parameters=given, timeout=0, flow_run_name=f"{name} ({attempt})"
        )
        logger.info("%s: given to %s as %s", name, deployment, run.name)
        state = await _end(run.id)
        if state.is_completed():
            return None
        if not state.is_crashed():
            return f"{name}: {state.name} elsewhere: {state.message}"
        logger.warning("%s: its machine went away: %s", name, state.message)
    return f"{name}: crashed {ATTEMPTS} times"


async def _end(run: UUID) -> Any:
    """Wait until a flow run has ended; end it if this is cancelled."""
    try:
        while True:
            async with get_client() as client:
                state = (await client.read_flow_run(run)).state
            if state is not None and state.is_final():
                return state
            await asyncio.sleep(POLL_SECONDS)
    except BaseException:
        # Not awaited: what ends this flow may leave no time for the event loop.
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelling(), force=True)
        raise
