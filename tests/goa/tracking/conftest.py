"""A tracking store whose slow migrations have been done once."""

import shutil
from pathlib import Path

import pytest

from goa.tracking.store import Store, find_store


@pytest.fixture
def store(migrated_database: Path, tmp_path: Path) -> Store:
    """Give a migrated, empty store."""
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    return find_store(tmp_path, "goa")
