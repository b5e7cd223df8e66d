"""Publish a project's results to MLflow, completely, once its stages have run.

That needs nothing but dvc.lock and the outputs, so it can be repeated at any time: after an outage,
on another machine, for stages that came out of DVC's cache.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goa.settings import read_yaml, validate
from goa.tracking.publisher import EXECUTION, LOCK_HASH, Publisher
from goa.tracking.records import StageRun
from goa.tracking.settings import TrackingSettings
from goa.tracking.store import Store, connect, find_store
from pipelines.graph import lock_entries, read_graph
from pipelines.lineage import git_tags
from pipelines.results import (
    COMPARISON,
    Result,
    final_metrics,
    stage_run,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSummary:
    """What publishing did."""

    uri: str
    """The store, without secrets."""
    pipeline_id: str
    """The MLflow run of the pipeline's execution."""
    page: str | None
    """Where to look at it; None where no server shows it."""
    added: tuple[str, ...]
    """Stages whose result was recorded."""
    known: tuple[str, ...]
    """Stages whose result was in the store already, now linked to this execution too."""
    skipped: Mapping[str, str]
    """Stages that could not be recorded, and why."""


def project_store(root: Path) -> Store:
    """Find where the runs of a project are recorded.

    Raises:
        SettingsError: the section ``tracking`` of params.yaml cannot be used.
    """
    return find_store(root, tracking_settings(root).experiment)


def tracking_settings(root: Path) -> TrackingSettings:
    """Read the section ``tracking`` of params.yaml.

    Raises:
        SettingsError: it cannot be used.
    """
    path = root / "params.yaml"
    content = read_yaml(path).get("tracking", {}) if path.exists() else {}
    return validate(TrackingSettings, content, f"{path}, tracking")


def initialise_store(root: Path) -> None:
    """Make the project's tracking database; call it before processes fan out.

    Raises:
        TrackingError: the store does not answer or cannot be made.
    """
    connect(project_store(root))


def publish(root: Path, execution: str | None = None) -> PublishSummary:
    """Record every result of dvc.lock, under the run of a pipeline execution.

    Args:
        root: the project's folder.
        execution: given by whoever ran the stages; without it, the execution that published the
            same dvc.lock before, else one named after dvc.lock.

    Raises:
        TrackingError: the store does not answer; run it again later, nothing is lost or doubled.
        GoaError: dvc.yaml or an output cannot be read.
    """
    root = root.resolve()
    store = project_store(root)
    results = _results(root)
    tags = {LOCK_HASH: _lock_hash(root), **git_tags(root)}
    execution = _remember(root, execution, tags[LOCK_HASH])
    added, known, skipped = [], [], {}
    with sole_publisher(root):
        publisher = Publisher(store)
        pipeline_id = publisher.open_pipeline(tags, execution)
        for result in results:
            if publisher.link(result.stage, result.key, pipeline_id):
                known.append(result.stage)
            elif difference := result.difference():
                skipped[result.stage] = difference
            else:
                publisher.publish(stage_run(result, tags), pipeline_id)
                added.append(result.stage)
        publisher.close_pipeline(pipeline_id, _summary(root, results, tags))
    return PublishSummary(
        uri=store.shown,
        pipeline_id=pipeline_id,
        page=publisher.page(pipeline_id),
        added=tuple(added),
        known=tuple(known),
        skipped=skipped,
    )


@contextmanager
def sole_publisher(root: Path) -> Iterator[None]:
    """Let one process at a time look for runs and make those that are missing."""
    (root / ".goa").mkdir(exist_ok=True)
    with (root / ".goa" / "publish.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _results(root: Path) -> list[Result]:
    """List the results of the stages that dvc.yaml has now, in running order."""
    entries = lock_entries(root)
    names = [name for name in read_graph(root).stages if name in entries]
    return [Result(root=root, stage=name, entry=entries[name]) for name in names]


def _lock_hash(root: Path) -> str:
    lock = root / "dvc.lock"
    return hashlib.sha256(lock.read_bytes() if lock.exists() else b"").hexdigest()


def _remember(root: Path, execution: str | None, lock_hash: str) -> str | None:
    """Note which execution dvc.lock is of; without one, give what was noted for this dvc.lock.

    So publishing after an outage completes the run that the outage interrupted.
    """
    note = root / ".goa" / "execution.json"
    if execution is not None:
        note.parent.mkdir(exist_ok=True)
        unfinished = note.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({LOCK_HASH: lock_hash, EXECUTION: execution}))
        unfinished.replace(note)
        return execution
    try:
        noted = json.loads(note.read_bytes()) if note.exists() else {}
        return str(noted[EXECUTION]) if noted.get(LOCK_HASH) == lock_hash else None
    except (ValueError, LookupError, AttributeError, RecursionError):
        return None  # a note that cannot be read is none


def _summary(root: Path, results: list[Result], tags: Mapping[str, str]) -> StageRun:
    """Record of the whole execution: dvc.lock, all parameters, and the comparison."""
    compared = [
        result for result in results if result.outputs(COMPARISON) and not result.difference()
    ]
    return StageRun(
        stage="pipeline",
        key=tags[LOCK_HASH],
        params={name: text for result in results for name, text in result.params.items()},
        metrics={
            name: value for result in compared for name, value in final_metrics(result).items()
        },
        artifacts=[
            *(path for path in [root / "dvc.lock"] if path.exists()),
            *(root / path for result in compared for path in result.outputs(COMPARISON)),
        ],
        started=time.time(),
        ended=time.time(),
    )
