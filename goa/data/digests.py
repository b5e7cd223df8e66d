"""What was seen before, remembered on disk: memory does not grow with the corpus."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from goa.errors import DataError

_SCHEMA = """
CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE held_out (
    digest BLOB PRIMARY KEY, validation INTEGER, test INTEGER, found INTEGER
) WITHOUT ROWID;
"""


class Digests:
    """Sets of texts as 16-byte digests in a private SQLite file that vanishes with the process."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, *parts: str) -> bool:
        """Remember a tuple of texts; say whether it is new."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO seen VALUES (?)", (_digest(*parts),)
        )
        return cursor.rowcount == 1

    def hold_out(self, source: str, split: str) -> None:
        """Remember a source of "validation" or "test"; a source may come many times."""
        counts = (int(split == "validation"), int(split == "test"))
        self._connection.execute(
            "INSERT INTO held_out VALUES (?1, ?2, ?3, 0) ON CONFLICT (digest) "
            "DO UPDATE SET validation = validation + ?2, test = test + ?3",
            (_digest(source), *counts),
        )

    def leaks(self, source: str) -> bool:
        """Say whether a training source is held out, and remember that it was found."""
        cursor = self._connection.execute(
            "UPDATE held_out SET found = 1 WHERE digest = ?", (_digest(source),)
        )
        return cursor.rowcount == 1

    def num_found(self) -> dict[str, int]:
        """Count the validation and test sources that :meth:`leaks` was asked for."""
        row = self._connection.execute(
            "SELECT TOTAL(validation), TOTAL(test) FROM held_out WHERE found"
        ).fetchone()
        return {"validation": int(row[0]), "test": int(row[1])}


@contextmanager
def open_digests() -> Iterator[Digests]:
    """Open an empty store; it is gone at the end, even if the process is killed.

    Raises:
        DataError: the temporary folder is full.
    """
    # SQLite makes a database without a name in an unlinked temporary file.
    connection = sqlite3.connect("", isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA cache_size = -8000;" + _SCHEMA)
        yield Digests(connection)
    except sqlite3.OperationalError as error:
        raise DataError(f"temporary files for finding duplicates: {error}; set TMPDIR") from None
    finally:
        connection.close()


def _digest(*parts: str) -> bytes:
    """Hash a tuple of texts; lengths go in, so that no two tuples run together."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode("utf-8")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()
