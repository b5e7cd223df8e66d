"""Tests of the publisher."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goa.errors import TrackingError
from goa.tracking.publisher import Publisher
from goa.tracking.records import Point, StageRun
from goa.tracking.store import Store, connect


@pytest.fixture
def publisher(store: Store) -> Publisher:
    return Publisher(store)


@pytest.fixture
def pipeline(publisher: Publisher) -> str:
    return publisher.open_pipeline({"git.sha": "f00d"}, "monday")


@pytest.fixture
def stage(tmp_path: Path) -> StageRun:
    """Record a finished fine-tuning."""
    history = tmp_path / "bleu.csv"
    history.write_text("update,reward\n")
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "reward.png").write_bytes(b"png")
    return StageRun(
        stage="finetune@bleu",
        key="key-1",
        params={"finetune.rounds": "60"},
        metrics={"best_update": 20.0, "reward": 0.5},
        history=[Point(step=step, time=50.0 + step, values={"reward": 0.4}) for step in (0, 20)],
        artifacts=[history, plots],
        datasets={"out/data": "0123456789abcdef0123456789abcdef.dir"},
        tags={"dvc.dep.out/pool@1.parquet": "abc"},
        started=40.0,
        ended=90.0,
    )


@pytest.fixture
def runs(store: Store) -> Callable[[], dict[str, Any]]:
    """Look at all runs of the store, by name; no name may occur twice."""

    def look() -> dict[str, Any]:
        connection = connect(store)
        found = connection.client.search_runs([connection.experiment_id])
        by_name = {run.info.run_name: run for run in found}
        assert len(by_name) == len(found)
        return by_name

    return look


def points(store: Store, run: Any) -> dict[str, list[tuple[int, float]]]:
    """Read every point of every metric of a run."""
    client = connect(store).client
    return {
        name: [
            (point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
    }


def test_a_stage_becomes_a_child_run_with_all_that_is_known_of_it(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
) -> None:
    publisher.publish(stage, pipeline)

    run = runs()["finetune@bleu"]
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 40000, 90000)
    assert run.data.tags["mlflow.parentRunId"] == pipeline
    assert run.data.tags["goa.stage_key"] == "key-1"
    assert run.data.tags["dvc.dep.out/pool:1.parquet"] == "abc"
    assert run.data.params == {"finetune.rounds": "60"}
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("out/data", stage.datasets["out/data"])
    artifacts = connect(store).client.list_artifacts(run.info.run_id)
    assert [artifact.path for artifact in artifacts] == ["bleu.csv", "plots"]


def test_the_final_value_of_a_metric_with_a_history_has_a_name_of_its_own(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
) -> None:
    publisher.publish(stage, pipeline)

    assert points(store, runs()["finetune@bleu"]) == {
        "reward": [(0, 0.4), (20, 0.4)],
        "best_update": [(20, 20.0)],
        "final_reward": [(20, 0.5)],
    }


def test_publishing_twice_adds_nothing(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
) -> None:
    publisher.publish(stage, pipeline)
    once = runs()

    publisher.publish(replace(stage, ended=1e9), pipeline)

    twice = runs()
    assert {name: run.to_dictionary() for name, run in twice.items()} == {
        name: run.to_dictionary() for name, run in once.items()
    }
    assert points(store, twice["finetune@bleu"])["reward"] == [(0, 0.4), (20, 0.4)]


def test_a_cached_result_is_linked_to_the_next_execution(
    publisher: Publisher, pipeline: str, stage: StageRun, runs: Callable[[], dict[str, Any]]
) -> None:
    publisher.publish(stage, pipeline)

    tuesday = publisher.open_pipeline({}, "tuesday")
    assert publisher.link(stage.stage, stage.key, tuesday)

    found = runs()
    child = found["finetune@bleu"]
    for parent in (found["monday"], found["tuesday"]):
        assert parent.data.tags["goa.run.finetune:bleu"] == child.info.run_id
        assert child.data.tags[f"goa.pipeline.{parent.info.run_id}"] == "true"


def test_a_result_that_the_store_has_not_is_not_linked(
    publisher: Publisher, pipeline: str, runs: Callable[[], dict[str, Any]]
) -> None:
    assert not publisher.link("finetune@bleu", "key-1", pipeline)
    assert "goa.run.finetune:bleu" not in runs()["monday"].data.tags


def test_a_changed_result_is_a_run_of_its_own(
    publisher: Publisher, pipeline: str, stage: StageRun, store: Store
) -> None:
    publisher.publish(stage, pipeline)
    publisher.publish(replace(stage, key="key-2", params={"finetune.rounds": "90"}), pipeline)

    connection = connect(store)
    found = connection.client.search_runs(
        [connection.experiment_id], "tags.`dvc.stage` = 'finetune@bleu'"
    )
    assert {run.data.params["finetune.rounds"] for run in found} == {"60", "90"}


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("log_batch", 1),
        ("log_batch", 2),
        ("log_inputs", 1),
        ("log_batch", 3),
        ("log_artifact", 1),
        ("set_terminated", 1),
        ("set_tag", 1),
    ],
)
def test_a_publisher_killed_half_way_is_completed_by_the_next(  # noqa: PLR0917
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    call: int,
) -> None:
    left = [call]
    original = getattr(publisher._client, step)

    def die(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    monkeypatch.setattr(publisher._client, step, die)
    with pytest.raises(KeyboardInterrupt):
        publisher.publish(stage, pipeline)
    monkeypatch.setattr(publisher._client, step, original)
    assert not publisher.link(stage.stage, stage.key, pipeline)

    Publisher(store).publish(replace(stage, ended=99.0), pipeline)

    run = runs()["finetune@bleu"]
    assert (run.info.status, run.data.tags["goa.complete"]) == ("FINISHED", "true")
    assert points(store, run) == {
        "reward": [(0, 0.4), (20, 0.4)],
        "best_update": [(20, 20.0)],
        "final_reward": [(20, 0.5)],
    }
    assert len(run.inputs.dataset_inputs) == 1


def test_no_request_is_larger_than_servers_take_and_all_arrive(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = [Point(step=step, time=1.0, values={"a": 1.0, "b": 2.0}) for step in range(700)]
    many = {f"p{number}": "1" for number in range(130)}
    sizes: list[tuple[str, int]] = []
    original = publisher._client.log_batch

    def watch(run_id: str, **items: list[Any]) -> None:
        sizes.extend((kind, len(batch)) for kind, batch in items.items())
        original(run_id, **items)

    monkeypatch.setattr(publisher._client, "log_batch", watch)
    publisher.publish(replace(stage, history=long, params=many, tags=many), pipeline)

    assert max(size for kind, size in sizes if kind == "metrics") <= 1000
    assert max(size for kind, size in sizes if kind != "metrics") <= 100
    run = runs()["finetune@bleu"]
    assert [len(points(store, run)[name]) for name in "ab"] == [700, 700]
    assert len(run.data.params) == 130
    assert many.keys() <= run.data.tags.keys()


def test_a_live_run_is_completed_instead_of_doubled(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    store: Store,
    runs: Callable[[], dict[str, Any]],
) -> None:
    live = publisher.open_live(stage.stage, "finetune@bleu/abc", pipeline)
    assert live.log([Point(step=0, time=45.0, values={"reward": 0.4})])
    assert runs()["finetune@bleu"].info.status == "RUNNING"
    assert not publisher.link(stage.stage, stage.key, pipeline)

    publisher.publish(replace(stage, live_key="finetune@bleu/abc"), pipeline)

    run = runs()["finetune@bleu"]
    assert run.info.run_id == live.run_id
    assert points(store, run)["reward"] == [(0, 0.4), (20, 0.4)]
    assert publisher.link(stage.stage, stage.key, pipeline)


def test_a_completed_run_takes_no_more_live_points(
    publisher: Publisher, pipeline: str, stage: StageRun, store: Store
) -> None:
    live = publisher.open_live(stage.stage, "finetune@bleu/abc", pipeline)
    publisher.publish(replace(stage, live_key="finetune@bleu/abc"), pipeline)

    assert not live.log([Point(step=40, time=95.0, values={"reward": 0.9})])


def test_a_resumed_stage_goes_on_with_its_live_run(
    publisher: Publisher, pipeline: str, store: Store, runs: Callable[[], dict[str, Any]]
) -> None:
    first = publisher.open_live("pretrain", "pretrain/abc", pipeline)
    first.log([Point(step=step, time=1.0 + step, values={"loss": 2.0}) for step in (0, 1, 2)])

    second = Publisher(store).open_live("pretrain", "pretrain/abc", pipeline)
    second.log([Point(step=step, time=9.0 + step, values={"loss": 2.0}) for step in (2, 3)])

    assert points(store, runs()["pretrain"])["loss"] == [(step, 2.0) for step in range(4)]


def test_a_stage_that_never_finished_fails_with_its_pipeline(
    publisher: Publisher, pipeline: str, stage: StageRun, runs: Callable[[], dict[str, Any]]
) -> None:
    publisher.open_live("pretrain", "pretrain/abc", pipeline)

    publisher.close_pipeline(pipeline, replace(stage, stage="pipeline", key="lock"))

    assert runs()["pretrain"].info.status == "FAILED"
    assert runs()["monday"].info.status == "FAILED"


def test_a_suspended_pipeline_can_still_be_completed(
    publisher: Publisher, pipeline: str, stage: StageRun, runs: Callable[[], dict[str, Any]]
) -> None:
    publisher.open_live(stage.stage, "finetune@bleu/abc", pipeline)

    publisher.suspend(pipeline)
    assert {run.info.status for run in runs().values()} == {"KILLED"}

    publisher.publish(replace(stage, live_key="finetune@bleu/abc"), pipeline)
    publisher.close_pipeline(pipeline, replace(stage, stage="pipeline", key="lock"))
    assert {run.info.status for run in runs().values()} == {"FINISHED"}


def test_closing_a_pipeline_twice_adds_nothing(
    publisher: Publisher,
    pipeline: str,
    stage: StageRun,
    runs: Callable[[], dict[str, Any]],
) -> None:
    summary = replace(stage, stage="pipeline", key="lock")
    publisher.close_pipeline(pipeline, summary)
    once = runs()["monday"].to_dictionary()

    publisher.close_pipeline(pipeline, replace(summary, ended=1e9))

    assert runs()["monday"].to_dictionary() == once
    assert once["info"]["status"] == "FINISHED"


def test_a_pipeline_keeps_the_parameters_it_was_first_closed_with(
    publisher: Publisher, pipeline: str, stage: StageRun, runs: Callable[[], dict[str, Any]]
) -> None:
    publisher.close_pipeline(pipeline, replace(stage, key="lock-1"))
    changed = {"finetune.rounds": "90", "seed": "17"}

    publisher.close_pipeline(pipeline, replace(stage, key="lock-2", params=changed))

    assert runs()["monday"].data.params == {"finetune.rounds": "60", "seed": "17"}


def test_without_an_execution_the_one_of_the_same_lock_file_is_taken(
    publisher: Publisher, runs: Callable[[], dict[str, Any]]
) -> None:
    named = publisher.open_pipeline({"dvc.lock.sha256": "1" * 64}, "monday")

    assert publisher.open_pipeline({"dvc.lock.sha256": "1" * 64}) == named
    assert publisher.open_pipeline({"dvc.lock.sha256": "2" * 64}) != named
    assert runs().keys() == {"monday", "lock-222222222222"}


def test_what_the_store_refuses_is_a_tracking_error(publisher: Publisher, stage: StageRun) -> None:
    with pytest.raises(TrackingError, match=r"the tracking store cannot be used: .*nowhere"):
        publisher.publish(stage, "nowhere")
