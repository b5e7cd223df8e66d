"""The same run as a Prefect flow: Prefect says when and where, dvc.yaml still says what.

Stages are awaited directly, never ``.submit()``ted: a cancelled flow then really ends them.
Prefect never caches them: what is stale is DVC's business. It tries again only what had not begun,
never a training that failed.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from goa.errors import PipelineError
from pipelines.clones import BusyError
from pipelines.execution import NotBegunError, StageState, Workplace, run_stage
from pipelines.graph import stage_definition
from pipelines.launch import num_processes
from pipelines.mirrors import UnreachableError
from pipelines.runner import run_graph
from pipelines.showing import followed, show_results, show_stages

PASSING = (NotBegunError, UnreachableError, BusyError)
"""What may be otherwise when it is tried again."""
RETRIES = 3
RETRY_SECONDS = 10
"""Before the first try again; twice that before the next, and so on."""
LEASE_SECONDS = 60
"""After which a slot that its holder died with is free again."""


def may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Tell Prefect whether to try again."""
    return isinstance(state.data, PASSING)


TRYING: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(RETRY_SECONDS),
    "retry_condition_fn": may_pass,
}
"""Options of a task that is tried again where that can help."""


@flow(name="reproduce", validate_parameters=True)
async def reproduce(
    targets: list[str],
    slots: int,
    root: Path = Path(),
    limit: str | None = None,
    pull: bool = False,
) -> dict[str, str]:
    """Bring the targets and all they need up to date; gives the last state of every stage.

    Args:
        targets: stages or groups of them; none means all.
        slots: stages side by side on this machine.
        root: the project's folder.
        limit: name of a Prefect concurrency limit that each process of a stage that computes on
            GPUs takes a slot of; None: no limit but slots.
        pull: take from DVC's remote what was run elsewhere.

    Raises:
        PipelineError: a stage failed, or the graph cannot be run.
    """
    logger = get_run_logger()
    started: dict[str, float] = {}
    spent: dict[str, float] = {}
    fresh: list[str] = []

    def listen(name: str, state: StageState) -> None:
        logger.info("%s: %s", name, state)
        if state is StageState.FRESH:
            fresh.append(name)
        if state is StageState.RUNNING:
            started[name] = time.monotonic()
        elif name in started:
            spent[name] = time.monotonic() - started[name]

    async def execute(name: str, place: Workplace) -> StageState:
        ended = await stage_task.with_options(task_run_name=name)(name, place, limit)
        return StageState(str(ended.message) if isinstance(ended, State) else ended)

    outcome = await run_graph(targets, slots, listen, root=root, execute=execute, pull=pull)
    for name in fresh:
        await fresh_task.with_options(task_run_name=name)()
    states = {name: str(state) for name, state in outcome.states.items()}
    await show_stages(states, spent)
    if outcome.failures:
        raise PipelineError("\n".join(outcome.failures))
    await show_results(root, states)
    return states


@task(name="stage", **TRYING)
async def stage_task(name: str, place: Workplace, limit: str | None) -> Any:
    """Run one stage; give its last state, or the Prefect state that says so."""
    wanted = await asyncio.to_thread(_gpu_slots, name, place.root)
    async with gpu_slots(limit, wanted), followed(name, place.root, get_run_logger()):
        state = await run_stage(name, place)
    return _cached(state) if state is StageState.CACHED else state


@task(name="stage", cache_policy=NO_CACHE)
async def fresh_task() -> Any:
    """Show a stage that DVC found up to date."""
    return _cached(StageState.FRESH)


def _cached(state: StageState) -> State[Any]:
    return Completed(name="Cached", message=str(state))


def _gpu_slots(name: str, root: Path) -> int:
    """Count the processes of a stage that may compute on a GPU."""
    stage = stage_definition(name, root)
    on_gpus = any("compute.device" in values for values in stage.params.values())
    return num_processes(stage.cmd) if on_gpus else 0


@contextlib.asynccontextmanager
async def gpu_slots(limit: str | None, wanted: int = 1) -> AsyncIterator[None]:
    """Wait for slots of the Prefect concurrency limit that counts GPUs, and hold them.

    Raises:
        PipelineError: there is no such limit.
    """
    if limit is None or not wanted:
        yield
        return
    held = concurrency(limit, occupy=wanted, lease_duration=LEASE_SECONDS, strict=True)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(held)
        except ConcurrencySlotAcquisitionError:
            raise PipelineError(
                f"Prefect has no concurrency limit {limit!r}; make it with "
                f"`prefect gcl create {limit} --limit NUMBER_OF_GPUS`"
            ) from None
        yield
