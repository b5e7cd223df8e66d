"""Scores that were paid for once, kept on disk for every later run."""

import hashlib
import json
import math
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from goa.errors import EvaluatorError
from goa.records import Example, Sample

SECONDS_FOR_A_LOCK = 60.0
"""How long to wait for another process that writes to the same file."""
EXAMPLES_IN_MEMORY = 8192
"""How many examples' scores are held in memory besides."""


_ONE = struct.Struct("<d")


class Stored(NamedTuple):
    """What is kept of one sample."""

    value: float | None
    parts: tuple[float | None, ...]


class RewardStore:
    """Scores of one evaluator by (source, references, candidate), in one SQLite file.

    The file is named after the evaluator's signature, so that other settings or another version of
    a library never see these scores. Several processes may read and write it at once. What is no
    longer wanted may be deleted at any time.
    """

    def __init__(self, folder: Path, signature: str) -> None:
        """Open the file, or make it.

        Args:
            folder: where the files of all evaluators lie.
            signature: the evaluator's.

        Raises:
            EvaluatorError: the file cannot be used.
        """
        self._part_names: tuple[str, ...] | None = None
        self._memory: dict[Example, dict[str, Stored]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluatorError(
                f"{folder}: no folder for the store of scores: {error.strerror}; move what is "
                "there, or set scoring.store to false"
            ) from None
        digest = hashlib.blake2b(signature.encode(), digest_size=12).hexdigest()
        self.path = folder / f"{digest}.sqlite"
        with self._usable():
            self._database = sqlite3.connect(self.path, timeout=SECONDS_FOR_A_LOCK)
            self._prepare(signature)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Say what to do where the file is damaged, or holds what this class never writes."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, struct.error) as error:
            raise EvaluatorError(
                f"{self.path}: the store of scores cannot be used: {error}; free some space if the "
                "disk is full, else delete it, or set scoring.store to false"
            ) from None

    def _prepare(self, signature: str) -> None:
        with self._database as database:
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost the last scores, never the file.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS evaluator (signature TEXT UNIQUE, part_names TEXT)"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS scores (example BLOB, candidate BLOB, scores BLOB, "
                "PRIMARY KEY (example, candidate)) WITHOUT ROWID"
            )
            database.execute("INSERT OR IGNORE INTO evaluator VALUES (?, NULL)", (signature,))

    @property
    def part_names(self) -> tuple[str, ...] | None:
        """Names of the breakdown's parts; None as long as nobody has kept anything."""
        if self._part_names is None:
            with self._usable():
                (names,) = self._database.execute("SELECT part_names FROM evaluator").fetchone()
                self._part_names = names and tuple(json.loads(names))
        return self._part_names

    def find(self, samples: Sequence[Sample]) -> list[Stored | None]:
        """Give what is kept of N samples; None of those that are new."""
        here: dict[int, dict[str, Stored]] = {}  # an example is hashed once, not for each candidate
        found: list[Stored | None] = []
        for sample in samples:
            known = here.get(id(sample.example))
            if known is None:
                with self._usable():
                    known = here[id(sample.example)] = self._of(sample.example)
            found.append(known.get(sample.candidate))
        return found

    def add(self, part_names: Sequence[str], scored: Sequence[tuple[Sample, Stored]]) -> None:
        """Keep scores, each with the same parts."""
        if not scored:
            return
        rows = []
        with self._usable():
            for sample, stored in scored:
                self._of(sample.example)[sample.candidate] = stored
                rows.append((_key(sample.example), _encode(sample.candidate), _pack(stored)))
        with self._usable(), self._database as database:
            if self.part_names is None:
                names = json.dumps(list(part_names))
                database.execute("UPDATE evaluator SET part_names = ?", (names,))
            database.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?)", rows)

    def _of(self, example: Example) -> dict[str, Stored]:
        """Give what is kept of an example's candidates, by their text."""
        known = self._memory.get(example)
        if known is None:
            rows = self._database.execute(
                "SELECT candidate, scores FROM scores WHERE example = ?", (_key(example),)
            ).fetchall()
            known = {
                text.decode("utf-8", "surrogatepass"): _unpack(scores) for text, scores in rows
            }
            self._memory[example] = known
            if len(self._memory) > EXAMPLES_IN_MEMORY:
                del self._memory[next(iter(self._memory))]  # the one read longest ago
        return known

    def close(self) -> None:
        """Close the file."""
        self._database.close()


@lru_cache(maxsize=4096)
def _key(example: Example) -> bytes:
    """Digest source and references; the id is not part of what is scored."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (example.source, *example.references):
        encoded = _encode(text)
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.digest()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _pack(stored: Stored) -> bytes:
    numbers = [float("nan") if value is None else value for value in (stored.value, *stored.parts)]
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _unpack(packed: bytes) -> Stored:
    if len(packed) == _ONE.size:  # no parts, as nearly always
        (only,) = _ONE.unpack(packed)
        return Stored(only, ())
    numbers = struct.unpack(f"<{len(packed) // 8}d", packed)
    value, *parts = (None if math.isnan(number) else number for number in numbers)
    return Stored(value, tuple(parts))
