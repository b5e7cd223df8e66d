"""The registry: versions, the champion, and the ways back."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from goa.errors import DataError, TrackingError
from goa.tracking import turn
from goa.tracking.publisher import COMPLETE, STAGE_KEY
from goa.tracking.registry import Published, Registry
from goa.tracking.store import Store, connect
from goa.tracking.turn import TURN


@pytest.fixture
def registry(any_store: Store) -> Registry:
    return Registry(any_store, any_store.experiment)


def register(registry: Registry, **tags: str) -> int:
    """Register a logged model without weights; gives the version's number."""
    connection = connect(registry._store)
    run = connection.client.create_run(connection.experiment_id)
    logged = connection.client.create_logged_model(
        connection.experiment_id, name="bleu", source_run_id=run.info.run_id
    )
    with registry.turn():
        published = Published(run_id=run.info.run_id, model_id=logged.model_id, tags={})
        return registry.register(published, tags, "a policy").number


def crown(registry: Registry, number: int) -> None:
    with registry.turn():
        registry.crown(number)


def roll_back(registry: Registry) -> tuple[int, int]:
    with registry.turn():
        return registry.roll_back()


def number_of_champion(registry: Registry) -> int | None:
    champion = registry.champion()
    return None if champion is None else champion.number


def test_a_model_that_nobody_registered_has_no_versions_and_no_champion(
    registry: Registry,
) -> None:
    assert (registry.versions(), registry.champion()) == ([], None)


def test_versions_are_counted_and_keep_their_model_and_tags(registry: Registry) -> None:
    numbers = [register(registry, policy=name) for name in ("bleu", "rule")]

    versions = registry.versions()
    assert [version.number for version in versions] == numbers == [1, 2]
    assert [version.tags["policy"] for version in versions] == ["bleu", "rule"]
    assert all(version.model_id.startswith("m-") for version in versions)


def test_the_champion_is_the_version_that_was_crowned(registry: Registry) -> None:
    for _ in range(2):
        register(registry)
    crown(registry, 2)

    assert number_of_champion(registry) == 2


def test_a_champion_is_no_challenger_any_more(registry: Registry) -> None:
    register(registry)
    with registry.turn():
        registry.challenge(1)
        registry.crown(1)

    assert registry._find().aliases == {"champion": 1}


def test_a_challenger_that_is_rolled_back_to_is_none_any_more(registry: Registry) -> None:
    for number in (1, 2):
        register(registry)
        crown(registry, number)
    with registry.turn():
        registry.challenge(1)
        registry.roll_back()

    assert registry._find().aliases == {"champion": 1}


def test_rolling_back_goes_further_back_each_time(registry: Registry) -> None:
    for number in (1, 2, 3):
        assert register(registry) == number
        crown(registry, number)

    assert [roll_back(registry), roll_back(registry)] == [(3, 2), (2, 1)]
    assert number_of_champion(registry) == 1
    with pytest.raises(TrackingError, match="no version of .* was champion before version 1"):
        roll_back(registry)
    assert number_of_champion(registry) == 1


def test_what_was_crowned_after_a_way_back_leads_back_to_where_that_led(
    registry: Registry,
) -> None:
    for _ in range(3):
        register(registry)
    for number in (1, 2):
        crown(registry, number)
    roll_back(registry)
    crown(registry, 3)

    assert roll_back(registry) == (3, 1)


def test_the_way_back_passes_over_versions_that_were_deleted(registry: Registry) -> None:
    for number in (1, 2, 3):
        register(registry)
        crown(registry, number)
    registry._client.delete_model_version(registry.model, "2")

    assert roll_back(registry) == (3, 1)


def test_a_champion_made_by_hand_is_part_of_the_way_back(registry: Registry) -> None:
    for _ in range(3):
        register(registry)
    crown(registry, 1)
    registry._client.set_registered_model_alias(registry.model, "champion", "2")
    crown(registry, 3)

    assert [roll_back(registry), roll_back(registry)] == [(3, 2), (2, 1)]


def test_the_way_back_from_a_champion_made_by_hand_is_the_last_that_was_crowned(
    registry: Registry,
) -> None:
    for _ in range(2):
        register(registry)
    crown(registry, 1)
    registry._client.set_registered_model_alias(registry.model, "champion", "2")

    assert roll_back(registry) == (2, 1)


def test_the_way_back_from_a_former_champion_made_it_again_by_hand_is_the_one_before_it(
    registry: Registry,
) -> None:
    for number in (1, 2, 3):
        register(registry)
        crown(registry, number)
    registry._client.set_registered_model_alias(registry.model, "champion", "2")

    assert roll_back(registry) == (2, 1)


def test_without_a_champion_there_is_no_way_back(registry: Registry) -> None:
    register(registry)
    with pytest.raises(TrackingError, match="has no champion"):
        roll_back(registry)


def test_only_one_process_at_a_time_has_its_turn(registry: Registry, tmp_path: Path) -> None:
    log = tmp_path / "turns"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store"])
    processes = [
        context.Process(target=_take_turns, args=(registry._store, log, name))
        for name in ("a", "b", "c")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == 24
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered[0], entered[1], left[1]) == (left[0], "in", "out")


def test_a_turn_ends_also_when_the_work_in_it_fails(registry: Registry) -> None:
    with pytest.raises(DataError, match="no corpus"), registry.turn():
        raise DataError("no corpus")

    assert not any(tag.startswith(TURN) for tag in registry._find().tags)


def test_the_turn_of_a_program_that_died_is_over_after_a_while(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "STUCK_SECONDS", 0.5)
    register(registry)
    registry._client.set_registered_model_tag(registry.model, f"{TURN}dead", "taken")
    start = time.monotonic()
    with registry.turn():
        waited = time.monotonic() - start

    assert waited > 0.5
    assert f"{TURN}dead" not in registry._find().tags


def test_who_waits_too_long_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "PATIENCE_SECONDS", 0.5)
    register(registry)
    registry._client.set_registered_model_tag(registry.model, f"{TURN}busy", "taken")

    with pytest.raises(TrackingError, match="busy for"), registry.turn():
        pass


def test_who_waits_enters_when_the_other_is_done(registry: Registry) -> None:
    events = []

    def work() -> None:
        with registry.turn():
            events.append("second")

    with registry.turn():
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.5)
        events.append("first")
    thread.join(60)

    assert events == ["first", "second"]


def test_a_result_that_was_not_recorded_is_not_found(registry: Registry) -> None:
    assert registry.published("no such key") is None
    assert registry.artifact_uri("no such key", "report.md") is None


def test_a_result_that_made_no_model_cannot_be_registered(registry: Registry) -> None:
    tags = {STAGE_KEY: "key", COMPLETE: "true"}
    run = registry._client.create_run(registry._connection.experiment_id, tags=tags)
    with pytest.raises(TrackingError, match=f"run {run.info.run_id} has no model to register"):
        registry.published("key")


def test_versions_are_listed_however_many_pages_the_store_answers_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        register(registry)
    search = registry._client.search_model_versions
    monkeypatch.setattr(
        registry._client,
        "search_model_versions",
        lambda *given, **options: search(*given, **(options | {"max_results": 1})),
    )
    assert [version.number for version in registry.versions()] == [1, 2, 3]


def test_a_model_that_is_deleted_within_a_turn_has_no_champion(registry: Registry) -> None:
    register(registry)
    registry._client.delete_registered_model(registry.model)
    with pytest.raises(TrackingError, match=f"the model '{registry.model}' was deleted"):
        registry.crown(1)


def test_who_finds_that_another_made_the_model_first_goes_on(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry)
    with monkeypatch.context() as patched:
        patched.setattr(registry, "_find", lambda: None)
        registry._make()
    assert [version.number for version in registry.versions()] == [1]


@pytest.mark.parametrize("method", ["get_registered_model", "create_registered_model"])
def test_a_registry_that_refuses_says_so(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refuse(_: str) -> None:
        raise MlflowException("not for you", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(registry._client, method, refuse)
    with pytest.raises(TrackingError, match="cannot be used: not for you\n.* then try again"):
        registry._make()


def _take_turns(store: Store, log: Path, name: str) -> None:
    registry = Registry(store, store.experiment)
    for _ in range(4):
        with registry.turn(), log.open("a") as file:
            file.write(f"{name} in\n")
            file.flush()
            time.sleep(0.05)
            file.write(f"{name} out\n")
