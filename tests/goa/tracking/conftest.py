"""A tracking store whose slow migrations have been done once."""

import shutil
from pathlib import Path

import pytest

from goa.tracking.store import Store, connect, find_store


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session", name="migrated_database")
def _migrate_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("migrated")
    # Another experiment than the tests': the one they use must lie in their own folder.
    connect(find_store(root, "migrations"))
    return root / "mlflow.db"


@pytest.fixture
def store(migrated_database: Path, tmp_path: Path) -> Store:
    """Give a migrated, empty store."""
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    return find_store(tmp_path, "goa")
