"""Training curves, as the training stages left them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goa.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One logged quantity over training; updates that did not log it are left out."""

    updates: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything one policy logged while it was trained."""

    policy: str
    curves: Mapping[str, Curve]
    """By column; a column without a single number is left out."""


def read_history(path: Path) -> History:
    """Read ``<policy>.csv``: a column ``update``, then one per quantity, empty where not logged.

    Raises:
        DataError: the file is missing or is no such table; file and line are named.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            points = _points(rows, path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; train {path.stem!r} first") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table: {error}; train {path.stem!r} again") from None
    return History(
        policy=path.stem,
        curves={
            name: Curve(updates=tuple(x for x, _ in pairs), values=tuple(y for _, y in pairs))
            for name, pairs in points.items()
            if pairs
        },
    )


def _points(rows: "csv.DictReader[str]", path: Path) -> dict[str, list[tuple[int, float]]]:
    header = rows.fieldnames or []
    if not header or header[0] != "update":
        found = header[0] if header else "nothing"
        raise DataError(f"{path}:1: expected the first column to be 'update', found {found!r}")
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in header[1:]}
    for row in rows:
        if None in row or None in row.values():
            raise DataError(f"{path}:{rows.line_num}: expected {len(header)} cells in the line")
        try:
            update = int(row["update"])
            for name in header[1:]:
                if row[name]:
                    points[name].append((update, float(row[name])))
        except ValueError as error:
            raise DataError(f"{path}:{rows.line_num}: not a number: {error}") from None
    return points
