"""The MLflow store: which one, made ready once, and reached within seconds or not at all."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from goa.errors import TrackingError, excerpt, first_line, hide_secrets

SQLITE = "sqlite:///"
DATABASES = {"postgresql", "mysql", "mssql"}
"""That MLflow can use without a server of its own before them, beside SQLite."""

CLIENT_ENVIRONMENT = {
    # By default an unreachable server blocks its first caller for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
"""Set for this process where the user has not set them."""

PROBE_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds
    "PGCONNECT_TIMEOUT": "3",  # seconds
}
"""Set while the first call finds out whether anybody answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where MLflow keeps the runs of a project."""

    uri: str
    """The database or server; a SQLite file by absolute path."""
    experiment: str
    """Name of the experiment."""
    artifacts: Path | None
    """Absolute folder of the files of runs; None: the server decides."""

    def without_secrets(self, text: str) -> str:
        """Take the user name and password of the URI, and of other addresses, out of a text."""
        secret, at, _ = urlsplit(self.uri).netloc.rpartition("@")
        return hide_secrets(text.replace(secret + at, ""))

    @property
    def shown(self) -> str:
        """The URI as it may be shown."""
        return self.without_secrets(self.uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A store that answered."""

    client: Any
    """An ``mlflow.MlflowClient``."""
    experiment_id: str
    """Id of the store's experiment."""


def find_store(root: Path, experiment: str) -> Store:
    """Name the store of a project: ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in its folder.

    Files lie beside a SQLite file, wherever that is; in the project's folder where the URI names
    another database, which has no place for them; where a server wants them else.
    """
    root = root.resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or SQLITE + quote(str(root / "mlflow.db"))
    folder = None
    if uri.startswith(SQLITE):
        # A relative database would be another one in every working directory.
        database = root / unquote(uri.removeprefix(SQLITE))
        uri, folder = SQLITE + quote(str(database)), database.parent
    elif _on_database_server(uri):
        folder = root
    return Store(
        uri=uri, experiment=experiment, artifacts=folder / "mlartifacts" if folder else None
    )


def connect(store: Store) -> Connection:
    """Reach the store; make the database and the experiment if they are missing.

    Several processes that meet a fresh SQLite file at once ruin it with their migrations, so a
    file lock lets one in at a time. Connect once before processes fan out: MLflow programs of
    other people do not know the lock.

    Raises:
        TrackingError: it does not answer within seconds, or refuses.
    """
    for name, value in CLIENT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Here, not above: it takes seconds, and reads the environment when it is imported.
    from mlflow import MlflowClient  # noqa: PLC0415

    with tracking_errors(store), _lock(store), environment(PROBE_ENVIRONMENT):
        if _on_database_server(store.uri):
            _knock(store)
        client = MlflowClient(store.uri, store.uri)
        found = client.get_experiment_by_name(store.experiment)
        if found is None:
            found = _make_experiment(client, store)
        return Connection(client=client, experiment_id=_active(found, store))


@contextmanager
def tracking_errors(store: Store, then: str = "run `goa publish`") -> Iterator[None]:
    """Turn whatever MLflow raises into a TrackingError that says what to do.

    MLflow lets through the errors of its database driver, its HTTP client and the file system.

    Args:
        store: where it happens.
        then: what to do when the store can be used again.
    """
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(
            f"{store.shown}: the tracking store cannot be used: "
            f"{excerpt(store.without_secrets(first_line(error)), 300)}\n"
            f"Nothing is lost: start it, or correct MLFLOW_TRACKING_URI, then {then}."
        ) from None


def _on_database_server(uri: str) -> bool:
    return urlsplit(uri).scheme.partition("+")[0] in DATABASES


def _knock(store: Store) -> None:
    """Ask a database once: MLflow asks ten times, which is 100 seconds."""
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    create_engine(store.uri, poolclass=NullPool).connect().close()


def _make_experiment(client: Any, store: Store) -> Any:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    location = store.artifacts.as_uri() if store.artifacts else None
    try:
        client.create_experiment(store.experiment, artifact_location=location)
    except MlflowException as error:
        # On a database that several machines use, another may be quicker.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.get_experiment_by_name(store.experiment)


def _active(experiment: Any, store: Store) -> str:
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"{store.shown}: the experiment {store.experiment!r} was deleted there; restore it "
            f"(mlflow experiments restore -x {experiment.experiment_id}) or name another one in "
            "tracking.experiment"
        )
    return str(experiment.experiment_id)


@contextmanager
def _lock(store: Store) -> Iterator[None]:
    if not store.uri.startswith(SQLITE):
        yield
        return
    database = Path(unquote(store.uri.removeprefix(SQLITE)))
    with database.with_name(f"{database.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while: some of MLflow's ways cannot be told else."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
