"""Flows that work on a revision of a repository, in clones of their own: what deployments run.

``nightly`` is the whole of it: reproduce, push, record in MLflow, promote. Told a deployment of
``reproduce_revision``, it shares the work out: what several policies need is run once, then each
policy's own stages go to whatever machine is free, and comparing finds everything in DVC's remote.
"""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_link_artifact, acreate_table_artifact
from prefect.context import FlowRunContext

from goa.errors import PipelineError
from goa.tracking.store import find_store
from pipelines.clones import Clone, Source, open_clone, resolve
from pipelines.devices import Lease, lease, visible_gpus
from pipelines.fan_out import branches, run_elsewhere
from pipelines.flows import TRYING, gpu_slots, reproduce
from pipelines.graph import read_graph
from pipelines.live import LivePublisher
from pipelines.mirrors import UnreachableError, home
from pipelines.processes import run_python

TRACKING = "MLFLOW_TRACKING_URI"


@flow(name="reproduce-revision", validate_parameters=True)
async def reproduce_revision(
    source: Source, targets: list[str] | None = None, slots: int = 1, limit: str | None = None
) -> dict[str, str]:
    """Bring targets up to date in a clone, and push what that made; gives the stages' states.

    Args:
        source: what to run.
        targets: stages or groups of them; none means all.
        slots: stages side by side on this machine.
        limit: name of the Prefect concurrency limit that counts GPUs.
    """
    wanted = targets or []
    with contextlib.ExitStack() as stack:
        clone = await clone_task(source, wanted, stack)
        return await _reproduce_and_push(clone, wanted, slots, limit)


@flow(name="nightly", validate_parameters=True)
async def nightly(
    source: Source,
    seeds: list[int] | None = None,
    slots: int = 1,
    limit: str | None = None,
    elsewhere: str | None = None,
    promote: bool = True,
) -> list[dict[str, str]]:
    """Reproduce a revision, once for each seed, record it in MLflow, promote what is better.

    Args:
        source: what to run.
        seeds: each makes a run, with ``seed`` in params.yaml overridden; none means one run.
        slots: stages side by side on this machine.
        limit: name of the Prefect concurrency limit that counts GPUs.
        elsewhere: ``flow/deployment`` of :func:`reproduce_revision` that policies are trained by.
        promote: whether the winner of each run may become the champion.

    Raises:
        PipelineError: what is recorded would be lost, or stages failed; the other seeds' runs came
            to their end.
    """
    _check_tracking()
    sha = await fetch_task(source)
    additions: list[tuple[str, ...]] = [(f"seed={seed}",) for seed in seeds or ()]
    # One after the other on one machine; side by side where others do the work.
    free = asyncio.Semaphore(1 if elsewhere is None else len(additions) + 1)

    async def run(added: tuple[str, ...]) -> dict[str, str]:
        one = replace(source, revision=sha, overrides=(*source.overrides, *added))
        async with free:
            return await _one_run(one, slots, limit, elsewhere, promote=promote)

    ends = await asyncio.gather(
        *(run(added) for added in additions or [()]), return_exceptions=True
    )
    runs = [end for end in ends if not isinstance(end, BaseException)]
    if runs:
        await acreate_table_artifact(runs, key="runs", description="What was run, where it is.")
    _raise_all([end for end in ends if isinstance(end, BaseException)])
    return runs


@flow(name="promotion", validate_parameters=True)
async def promotion(
    source: Source, slots: int = 1, limit: str | None = None
) -> list[dict[str, str]]:
    """Promote the winner of a revision that was run before; whatever was not is run first."""
    return await nightly(source, slots=slots, limit=limit)


@task(name="fetch", **TRYING)
async def fetch_task(source: Source) -> str:
    """Say which commit a revision names now."""
    return await asyncio.to_thread(resolve, source)


@task(name="clone", **TRYING)
async def clone_task(source: Source, targets: Sequence[str], stack: contextlib.ExitStack) -> Clone:
    """Make or take up the clone for a piece of work."""
    clone = await asyncio.to_thread(stack.enter_context, open_clone(source, targets))
    get_run_logger().info("%s at %s in %s", source.repository, clone.sha, clone.root)
    return clone


@task(name="push", **TRYING)
async def push_task(clone: Clone) -> None:
    """Push what was made."""
    await clone.push()


@task(name="publish", **TRYING)
async def publish_task(clone: Clone, execution: str) -> dict[str, Any]:
    """Record everything in MLflow."""
    code, said = await _goa(clone, "publish", "--execution", execution, "--json")
    if code != 0:
        # Nothing is wrong with the run: what cannot be reached now may be there in a while.
        raise UnreachableError(said)
    return dict(json.loads(said.splitlines()[-1]))


@task(name="promote", **{**TRYING, "retries": 0})
async def promote_task(clone: Clone, limit: str | None) -> str:
    """Promote the winner, if it is better than the champion; gives the verdict.

    Both write the test split anew, on a GPU that is held like a stage's.
    """
    async with gpu_slots(limit), lease(visible_gpus()) as held:
        code, said = await _goa(clone, "promote", held=held)
    if code not in (0, 1, 3):  # 1: not better; 3: another test set than the champion's
        raise PipelineError(said)
    get_run_logger().info("%s", said)
    return said.splitlines()[-1] if said else ""


def _raise_all(errors: Sequence[BaseException]) -> None:
    """Raise what went wrong: all messages at once, but what nobody foresaw as it is."""
    for error in errors:
        if not isinstance(error, PipelineError):
            raise error
    if errors:
        raise PipelineError("\n".join(map(str, errors)))


async def _one_run(
    source: Source, slots: int, limit: str | None, elsewhere: str | None, *, promote: bool
) -> dict[str, str]:
    execution = _execution(source)
    with contextlib.ExitStack() as stack:
        clone = await clone_task(source, [], stack)
        if elsewhere is not None:
            await _share_out(clone, source, limit, elsewhere)
        with LivePublisher(clone.root, execution):
            await _reproduce_and_push(clone, [], slots, limit)
        published = await publish_task(clone, execution)
        verdict = await promote_task(clone, limit) if promote else ""
        if published["page"]:
            await acreate_link_artifact(published["page"], key="mlflow", link_text=execution)
        lock = hashlib.sha256((clone.root / "dvc.lock").read_bytes()).hexdigest()
    return {
        "overrides": " ".join(source.overrides),
        "git": clone.sha,
        "dvc.lock": lock,
        "mlflow": published["pipeline_id"],
        "promotion": verdict,
    }


async def _reproduce_and_push(
    clone: Clone, targets: list[str], slots: int, limit: str | None
) -> dict[str, str]:
    try:
        return await reproduce(targets, slots, clone.root, limit, clone.has_remote)
    finally:
        # Also after a failure: what was made is not made again. Not when cancelled: be gone soon.
        if not _cancelled():
            await push_task(clone)


def _check_tracking() -> None:
    """Refuse to record anything in a clone, which is deleted."""
    clones = home() / "clones"
    kept = find_store(clones, "").artifacts
    if not os.environ.get(TRACKING):
        wrong = "is not set"
    elif kept is not None and kept.is_relative_to(clones):
        wrong = "names a database that keeps no files, such as models"
    else:
        return
    raise PipelineError(
        f"{TRACKING} {wrong}: what lies in the clone of a scheduled run is deleted with it; name a "
        "tracking server (`goa serve` starts one), or a SQLite file by its absolute path"
    )


def _cancelled() -> bool:
    running = asyncio.current_task()
    return running is not None and running.cancelling() > 0


async def _share_out(clone: Clone, source: Source, limit: str | None, elsewhere: str) -> None:
    """Have everything but the comparison run elsewhere: first what is shared, then each branch."""
    if not clone.has_remote:
        raise PipelineError("machines share their work through a DVC remote, and there is none")
    graph = await asyncio.to_thread(read_graph, clone.root)
    trunk, ends = branches(graph)
    given = {"source": asdict(source), "limit": limit}
    if trunk:
        await run_elsewhere(elsewhere, [{**given, "targets": trunk}])
    await run_elsewhere(elsewhere, [{**given, "targets": [end]} for end in ends])


def _execution(source: Source) -> str:
    """Name the run in MLflow after the flow run, which can be found by it, and the overrides."""
    context = FlowRunContext.get()
    name = context.flow_run.name if context and context.flow_run else "by-hand"
    return " ".join([name, *source.overrides])


async def _goa(clone: Clone, *arguments: str, held: Lease | None = None) -> tuple[int, str]:
    """Run a goa command in a clone; gives its exit code and what it said."""
    log = clone.root / ".goa" / "logs" / f"{arguments[0]}.log"
    log.write_bytes(b"")
    # In a process of its own: Prefect's and MLflow's tables cannot be mapped in one.
    code = await run_python(
        ["-m", "pipelines.cli", *arguments],
        log,
        root=clone.root,
        environment=held.environment if held else None,
        descriptors=held.descriptors if held else (),
    )
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    return code, said
