"""The same run as a Prefect flow: Prefect says when and where, dvc.yaml still says what.

Stages are awaited directly, never ``.submit()``ted: a cancelled flow then really ends them.
Prefect neither caches nor retries them: what is stale is DVC's business, and training that failed
once fails again.
"""

from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from goa.errors import PipelineError
from pipelines.execution import StageState, Workplace, run_stage
from pipelines.runner import run_graph


@flow(name="reproduce", validate_parameters=True)
async def reproduce(targets: list[str], slots: int, root: Path = Path()) -> dict[str, str]:
    """Bring the targets and all they need up to date; gives the last state of every stage.

    Raises:
        PipelineError: a stage failed, or the graph cannot be run.
    """
    logger = get_run_logger()
    outcome = await run_graph(
        targets,
        slots,
        lambda name, state: logger.info("%s: %s", name, state),
        root=root,
        execute=_run_as_task,
    )
    if outcome.failures:
        raise PipelineError("\n".join(outcome.failures))
    return {name: str(state) for name, state in outcome.states.items()}


async def _run_as_task(name: str, place: Workplace) -> StageState:
    return await _stage(name, place)


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE, retries=0)
async def _stage(name: str, place: Workplace) -> StageState:
    return await run_stage(name, place)
