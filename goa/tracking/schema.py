"""Whether the store can be used as it is: asked without making or migrating anything."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from goa.tracking.store import (
    CLIENT_ENVIRONMENT,
    PROBE_ENVIRONMENT,
    SQLITE,
    Store,
    environment,
    tracking_errors,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Revisions of a database's tables."""

    found: str | None
    """What the database has; None where it has no tables of MLflow's, or is not there."""
    expected: str
    """What this MLflow works with."""
    newer: bool
    """Whether this MLflow does not even know what was found."""


def read_schema(store: Store) -> Schema | None:
    """Compare a database with what this MLflow expects; None where a server has the database.

    Raises:
        TrackingError: the database does not answer.
    """
    if store.uri.startswith(("http://", "https://", "databricks")):
        return None
    import mlflow  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    found = _revision(store)
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema(
        found=found,
        expected=str(scripts.get_current_head()),
        newer=found is not None and found not in known,
    )


def ask(store: Store) -> int:
    """Count the experiments by a real call, as every client makes them; one that is made ready.

    A server's ``/health`` stays green while it refuses every client, say for the host name that
    they know it by.

    Raises:
        TrackingError: it does not answer within seconds, or refuses.
    """
    with tracking_errors(store, "ask again"), environment(CLIENT_ENVIRONMENT | PROBE_ENVIRONMENT):
        from mlflow import MlflowClient  # noqa: PLC0415

        return len(MlflowClient(store.uri, store.uri).search_experiments(max_results=1000))


def _revision(store: Store) -> str | None:
    import sqlalchemy  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    uri = store.uri
    if uri.startswith(SQLITE):
        path = Path(unquote(uri.removeprefix(SQLITE)))
        if not path.exists():
            return None
        uri = f"{SQLITE}{path.as_uri()}?mode=ro&uri=true"
    with tracking_errors(store, "ask again"):
        engine = sqlalchemy.create_engine(uri)
        try:
            with engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision()
        finally:
            engine.dispose()
