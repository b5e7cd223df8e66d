"""From records of finished stages to MLflow runs, each exactly once.

One parent run stands for one execution of the pipeline, one child run for one result of a stage.
A result is known by its key, so a stage that DVC restored from its cache is linked, not repeated.
A child counts only once its tag ``goa.complete`` is true; a publisher that was killed before is
followed by one that fills in what is missing.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from goa.tracking.models import log_model
from goa.tracking.records import Point, StageRun
from goa.tracking.store import Connection, Store, connect, tracking_errors

MAX_METRICS = 1000
"""Metrics in one request; MLflow's limit."""
MAX_PAIRS = 100
"""Parameters or tags in one request; MLflow's limit."""

COMPLETE, STAGE_KEY, LIVE_KEY = "goa.complete", "goa.stage_key", "goa.live_key"
EXECUTION, LOCK_HASH = "goa.execution", "dvc.lock.sha256"


class Publisher:
    """Writes runs to one store; every method may be repeated without adding anything.

    Raises:
        TrackingError: from every method, where the store cannot be used.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Connection = connect(store)
        self._client = self._connection.client

    def open_pipeline(self, tags: Mapping[str, str], execution: str | None = None) -> str:
        """Find or make the parent run of an execution and give its id.

        Without an execution, it is the one that published the same dvc.lock, if there is one.
        """
        tag = EXECUTION if execution else LOCK_HASH
        wanted = execution or tags[LOCK_HASH]
        with tracking_errors(self._store):
            run = self._find(f"tags.`{tag}` = '{wanted}' and tags.`goa.kind` = 'pipeline'")
            if run is None:
                name = execution or f"lock-{wanted[:12]}"
                kind = {"goa.kind": "pipeline", EXECUTION: name, "mlflow.runName": name}
                run = self._create(kind)
            self._log_tags(run, tags)
            return str(run.info.run_id)

    def close_pipeline(self, pipeline_id: str, summary: StageRun) -> None:
        """Complete the parent run with what is worth comparing between executions.

        Provisional runs that are left are of stages that did not come to their end.
        """
        with tracking_errors(self._store):
            run = self._client.get_run(pipeline_id)
            failed = self._end_live_runs(pipeline_id, "FAILED")
            if run.data.tags.get(STAGE_KEY) != summary.key:
                self._fill(run, summary)
                self._client.set_terminated(pipeline_id, "FAILED" if failed else "FINISHED")
                self._client.set_tag(pipeline_id, STAGE_KEY, summary.key)

    def page(self, run_id: str) -> str | None:
        """Give the address of a run's page; None where no server shows it."""
        if not self._store.shown.startswith("http"):
            return None
        server = self._store.shown.rstrip("/")
        return f"{server}/#/experiments/{self._connection.experiment_id}/runs/{run_id}"

    def link(self, stage: str, key: str, pipeline_id: str) -> bool:
        """Name a result that the store has already under a pipeline; False if it has not."""
        with tracking_errors(self._store):
            run = self._find(f"tags.`{STAGE_KEY}` = '{key}' and tags.`{COMPLETE}` = 'true'")
            if run is None:
                return False
            self._link(run.info.run_id, stage, pipeline_id)
            return True

    def publish(self, stage: StageRun, pipeline_id: str) -> None:
        """Record a stage's result under a pipeline.

        An unfinished run of an earlier attempt, or the provisional run of the stage, is completed.
        """
        if self.link(stage.stage, stage.key, pipeline_id):
            return
        with tracking_errors(self._store):
            run = self._find(f"tags.`{STAGE_KEY}` = '{stage.key}'")
            if run is None and stage.live_key:
                run = self._find_live(stage.live_key)
            # The key from the start: the next attempt must find whatever this one leaves.
            tags = {**_child_tags(stage.stage, pipeline_id), STAGE_KEY: stage.key}
            run = run or self._create(tags, stage.started)
            self._complete(run, stage)
            self._link(run.info.run_id, stage.stage, pipeline_id)

    def open_live(self, stage: str, live_key: str, pipeline_id: str) -> "LiveRun":
        """Find or make the provisional run of a stage that is running."""
        with tracking_errors(self._store):
            run = self._find_live(live_key)
            if run is None:
                run = self._create({**_child_tags(stage, pipeline_id), LIVE_KEY: live_key})
            self._client.update_run(run.info.run_id, status="RUNNING")
            self._link(run.info.run_id, stage, pipeline_id)
            return LiveRun(self, run)

    def is_complete(self, run_id: str) -> bool:
        """Tell whether a run has been filled in to the end."""
        with tracking_errors(self._store):
            return bool(self._client.get_run(run_id).data.tags.get(COMPLETE) == "true")

    def suspend(self, pipeline_id: str) -> None:
        """Say of a pipeline and its provisional runs that nobody works on them any more.

        Resuming a stage, or publishing, takes that back.
        """
        with tracking_errors(self._store):
            self._end_live_runs(pipeline_id, "KILLED")
            self._client.set_terminated(pipeline_id, "KILLED")

    def log_points(self, run: Any, points: Iterable[Point], seen: set[tuple[str, int]]) -> None:
        """Log the points that are new to a run, and note them in ``seen``."""
        from mlflow.entities import Metric  # noqa: PLC0415

        fresh = []
        for point in points:
            for name, value in point.values.items():
                key = legal_name(name)
                if (key, point.step) not in seen:
                    seen.add((key, point.step))
                    fresh.append(Metric(key, value, round(point.time * 1000), point.step))
        with tracking_errors(self._store):
            for chunk in _chunks(fresh, MAX_METRICS):
                self._client.log_batch(run.info.run_id, metrics=chunk)

    def points_of(self, run: Any) -> set[tuple[str, int]]:
        """Collect the names and steps that a run has metrics for."""
        with tracking_errors(self._store):
            return {
                (name, metric.step)
                for name in run.data.metrics
                for metric in self._client.get_metric_history(run.info.run_id, name)
            }

    def _complete(self, run: Any, stage: StageRun) -> None:
        self._log_tags(run, {**stage.tags, STAGE_KEY: stage.key})
        self._fill(run, stage)
        if stage.model:
            log_model(self._connection, run, stage.model, {STAGE_KEY: stage.key})
        self._client.set_terminated(run.info.run_id, "FINISHED", round(stage.ended * 1000))
        self._client.set_tag(run.info.run_id, COMPLETE, "true")

    def _fill(self, run: Any, stage: StageRun) -> None:
        from mlflow.entities import Param  # noqa: PLC0415

        params = [
            Param(legal_name(name), value)
            for name, value in stage.params.items()
            if legal_name(name) not in run.data.params  # MLflow never changes one
        ]
        for chunk in _chunks(params, MAX_PAIRS):
            self._client.log_batch(run.info.run_id, params=chunk)
        if stage.datasets:
            self._client.log_inputs(run.info.run_id, _dataset_inputs(stage.datasets))
        self.log_points(run, [*stage.history, _final_point(stage)], self.points_of(run))
        for path in stage.artifacts:
            if path.is_dir():
                self._client.log_artifacts(run.info.run_id, str(path), path.name)
            else:
                self._client.log_artifact(run.info.run_id, str(path))

    def _end_live_runs(self, pipeline_id: str, status: str) -> bool:
        left = self._client.search_runs(
            [self._connection.experiment_id],
            f"tags.`mlflow.parentRunId` = '{pipeline_id}' and tags.`{COMPLETE}` = 'false'",
        )
        for run in left:
            self._client.set_terminated(run.info.run_id, status)
        return bool(left)

    def _find(self, condition: str) -> Any:
        found = self._client.search_runs(
            [self._connection.experiment_id],
            condition,
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        return found[0] if found else None

    def _find_live(self, live_key: str) -> Any:
        return self._find(f"tags.`{LIVE_KEY}` = '{live_key}' and tags.`{COMPLETE}` = 'false'")

    def _create(self, tags: Mapping[str, str], started: float | None = None) -> Any:
        milliseconds = None if started is None else round(started * 1000)
        return self._client.create_run(self._connection.experiment_id, milliseconds, dict(tags))

    def _link(self, run_id: str, stage: str, pipeline_id: str) -> None:
        self._client.set_tag(pipeline_id, legal_name(f"goa.run.{stage}"), run_id)
        self._client.set_tag(run_id, f"goa.pipeline.{pipeline_id}", "true")

    def _log_tags(self, run: Any, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415

        pairs = [RunTag(legal_name(name), value) for name, value in tags.items()]
        for chunk in _chunks(pairs, MAX_PAIRS):
            self._client.log_batch(run.info.run_id, tags=chunk)


class LiveRun:
    """The provisional run of a stage that is running."""

    def __init__(self, publisher: Publisher, run: Any) -> None:
        self.run_id: str = run.info.run_id
        self._publisher = publisher
        self._run = run
        self._seen = publisher.points_of(run)

    def log(self, points: Iterable[Point]) -> bool:
        """Log what is new; False once the run has been completed from the stage's outputs."""
        if self._publisher.is_complete(self.run_id):
            return False
        self._publisher.log_points(self._run, points, self._seen)
        return True


def legal_name(name: str) -> str:
    """Replace what MLflow does not take in names of metrics, parameters and tags."""
    return re.sub(r"[^\w\-. :/]", ":", name)[:250]


def _child_tags(stage: str, pipeline_id: str) -> dict[str, str]:
    return {
        "goa.kind": "stage",
        "mlflow.runName": stage,
        "mlflow.parentRunId": pipeline_id,
        "dvc.stage": stage,
        COMPLETE: "false",
    }


def _final_point(stage: StageRun) -> Point:
    """Make a point of the final metrics; names that are in the history too are told apart."""
    in_history = {name for point in stage.history for name in point.values}
    return Point(
        step=max((point.step for point in stage.history), default=0),
        time=stage.ended,
        values={
            f"final_{name}" if name in in_history else name: value
            for name, value in stage.metrics.items()
        },
    )


def _dataset_inputs(digests: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

    return [
        DatasetInput(
            Dataset(
                name=path,
                digest=digest,
                source_type="local",
                source=json.dumps({"uri": path}),
            ),
            [InputTag("mlflow.data.context", "input")],
        )
        for path, digest in digests.items()
    ]


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
