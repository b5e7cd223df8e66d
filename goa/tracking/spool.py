"""The spool: what a running stage says about itself, as JSON lines on the local disk.

A record has ``time`` (Unix seconds), ``kind``, and the fields of its kind:

- ``metrics``: ``step``, ``values`` by name.
- ``progress``: ``done``, ``total``, ``unit``, ``note``.
- any other kind: the event's own fields.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goa.errors import TrackingError


class Spool:
    """Appends records to a file, each whole and at once, so that others can follow it.

    Raises:
        TrackingError: the file cannot be written (disk full, no permission).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = _is_torn(path)
        except OSError as error:
            raise _unwritable(path, error) from None
        # A writer killed within a line must not spoil the first line of the next one.
        self._append(b"\n" if torn else b"")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append the metrics of one step."""
        self.event("metrics", step=step, values=dict(values))

    def progress(self, done: int, total: int, unit: str, note: str) -> None:
        """Append how far a task is."""
        self.event("progress", done=done, total=total, unit=unit, note=note)

    def event(self, kind: str, **fields: Any) -> None:
        """Append a record of any kind; values that are not JSON become numbers or text."""
        record = {"time": time.time(), "kind": kind, **fields}
        self._append(json.dumps(record, default=_plain, ensure_ascii=False).encode() + b"\n")

    def _append(self, content: bytes) -> None:
        # Opened for each record: nothing to close, and one write call keeps lines whole.
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(content)
        except OSError as error:
            raise _unwritable(self.path, error) from None


def read_spool(path: Path) -> list[dict[str, Any]]:
    """Read every whole record; torn lines are passed over, a missing file has none."""
    return follow_spool(path, 0)[0]


def follow_spool(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Read the records after a byte offset; give them and the offset to go on from.

    A last line that is not finished yet is left for the next call.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read()
    end = content.rfind(b"\n") + 1
    records = [_parse(line) for line in content[:end].splitlines()]
    return [record for record in records if record is not None], offset + end


def _is_torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and {"time", "kind"} <= record.keys() else None


def _plain(value: Any) -> float | str:
    """Turn a tensor's or NumPy's number into a float, and anything else into text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _unwritable(path: Path, error: OSError) -> TrackingError:
    return TrackingError(
        f"{path}: cannot append metrics: {error.strerror or error}; "
        "free some space or fix the folder's permissions, then run the stage again"
    )
