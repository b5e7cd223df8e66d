"""A tracking store whose slow migrations have been done once."""

import pytest

from goa.tracking.store import Store


@pytest.fixture
def store(any_store: Store) -> Store:
    """Give a migrated store, on SQLite and on PostgreSQL, without runs in its experiment."""
    return any_store
