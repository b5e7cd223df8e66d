"""Tests of reaching the store."""

import multiprocessing
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from goa.errors import TrackingError
from goa.tracking.store import Store, connect, find_store


@pytest.fixture
def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_default_store_is_a_database_in_the_project_by_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    store = find_store(Path(), "goa")

    assert store.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert store.artifacts == tmp_path / "mlartifacts"


def test_a_relative_database_is_one_of_the_project_wherever_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")

    store = find_store(tmp_path, "goa")

    assert store.uri == f"sqlite:///{tmp_path}/runs.db"
    assert store.artifacts == tmp_path / "mlartifacts"


def test_the_files_of_runs_lie_beside_a_sqlite_file_not_in_a_project_that_may_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/kept/runs.db")

    store = find_store(tmp_path / "project", "goa")

    assert store.uri == f"sqlite:///{tmp_path}/kept/runs.db"
    assert store.artifacts == tmp_path / "kept" / "mlartifacts"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "mysql+pymysql"])
def test_a_database_without_a_server_has_files_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@host/runs")

    store = find_store(tmp_path, "goa")

    assert store.uri == f"{scheme}://me:secret@host/runs"
    assert store.artifacts == tmp_path / "mlartifacts"


def test_a_server_decides_where_artifacts_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://runs.example.org")

    store = find_store(Path(), "goa")

    assert (store.uri, store.artifacts) == ("http://runs.example.org", None)


def test_a_store_that_lets_nobody_make_experiments_says_so(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("not for you", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(MlflowClient, "create_experiment", refuse)
    with pytest.raises(
        TrackingError, match="cannot be used: not for you\n.* then run `goa publish`"
    ):
        connect(any_store)


def test_a_database_that_answers_nobody_is_asked_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = []

        def hang_up() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                asked.append(address)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        uri = f"postgresql+psycopg://127.0.0.1:{server.getsockname()[1]}/x?sslmode=disable"

        with pytest.raises(TrackingError, match="cannot be used"):
            connect(Store(uri=uri, experiment="goa", artifacts=None))

        server.shutdown(socket.SHUT_RDWR)  # which wakes who waits in accept()
    assert len(asked) == 1


def test_a_project_folder_may_have_any_name(migrated_database: Path, tmp_path: Path) -> None:
    root = tmp_path / "a b%20c ü"
    root.mkdir()
    (root / "mlflow.db").write_bytes(migrated_database.read_bytes())

    connect(find_store(root, "goa"))

    assert {path.name for path in root.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_connecting_twice_finds_the_same_experiment(store: Store) -> None:
    assert connect(store).experiment_id == connect(store).experiment_id


def test_an_experiment_that_somebody_else_makes_at_the_same_time_is_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(store)
    find = type(connection.client).get_experiment_by_name
    answers = [lambda *_: None, find]

    def answer(client: Any, name: str) -> Any:
        return answers.pop(0)(client, name)

    monkeypatch.setattr(type(connection.client), "get_experiment_by_name", answer)

    assert connect(store).experiment_id == connection.experiment_id
    assert answers == []


def test_a_deleted_experiment_says_what_to_do(store: Store) -> None:
    connection = connect(store)
    connection.client.delete_experiment(connection.experiment_id)

    with pytest.raises(TrackingError, match=r"' was deleted there; restore it .*tracking\."):
        connect(store)


def test_a_server_that_is_down_costs_seconds_and_says_what_to_do(closed_port: int) -> None:
    uri = f"http://user:secret@127.0.0.1:{closed_port}"
    store = Store(uri=uri, experiment="goa", artifacts=None)
    start = time.monotonic()

    with pytest.raises(TrackingError, match="run `goa publish`") as caught:
        connect(store)

    assert time.monotonic() - start < 10
    assert f"127.0.0.1:{closed_port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)

    with pytest.raises(TrackingError, match=r"mlflow\.db: the tracking store cannot be used"):
        connect(find_store(tmp_path, "goa"))


def test_six_processes_may_start_on_a_fresh_database(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store"])
    store = find_store(tmp_path, "goa")

    with context.Pool(6) as pool:
        found = pool.map(_experiment_id, [store] * 6, chunksize=1)

    assert len(set(found)) == 1


def _experiment_id(store: Store) -> str:
    return connect(store).experiment_id


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://goa:s3cr3t@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x"),
        (
            "postgresql://127.0.0.1/x?user=a&password=s3cr3t",
            "postgresql://127.0.0.1/x?user=a&password=***",
        ),
        ("http://goa:s3cr3t@127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_store_is_shown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, shown: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = find_store(tmp_path, "goa")
    assert store.uri == uri
    assert store.shown == shown
    assert store.without_secrets(f"cannot reach {uri}; tried http://b:s3cr3t@h/") == (
        f"cannot reach {shown}; tried http://h/"
    )
