"""Tables: TSV and CSV."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from goa.data.readers.lines import read_lines
from goa.data.settings import CsvCorpusSettings, TsvCorpusSettings
from goa.errors import ROOM_FOR_NAMES, DataError, excerpt
from goa.records import Example

TableSettings = TsvCorpusSettings | CsvCorpusSettings
Row = tuple[int, list[str]]
"""A line number and its cells."""


def read_table(path: Path, settings: TableSettings, split: str) -> Iterator[Example]:
    """Read a split from a table; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, a column is not there, or a row has too few or too many
            cells.
    """
    rows = _rows(path, settings)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: holds nothing but blank lines")
    header, width = first[1] if settings.header else None, len(first[1])
    source, *references = (
        _place(column, header, width, path) for column in [settings.source, *settings.references]
    )
    id_place = None if settings.id is None else _place(settings.id, header, width, path)
    for number, cells in rows if settings.header else chain([first], rows):
        if len(cells) != width:
            raise DataError(
                f"{path}, line {number}: {len(cells)} columns, but the first line has {width}"
            )
        yield Example(
            id=f"{split}-{number:06d}" if id_place is None else cells[id_place],
            source=cells[source],
            references=tuple(cells[place] for place in references),
        )


def _rows(path: Path, settings: TableSettings) -> Iterator[Row]:
    if isinstance(settings, CsvCorpusSettings):
        yield from _csv_rows(path, settings.delimiter)
        return
    for number, line in read_lines(path):
        if line:
            yield number, line.split("\t")


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    # The parser needs to see line ends, since a quoted cell may hold one.
    lines = (f"{line}\n" for _, line in read_lines(path))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in rows:
            if cells:
                yield start, cells
            start = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: not valid CSV: {error}") from None


def _place(column: int | str, header: Sequence[str] | None, width: int, path: Path) -> int:
    if isinstance(column, int):
        if column >= width:
            raise DataError(f"{path}: no column {column}; there are {width}, counted from 0")
        return column
    names = [name.strip() for name in header or ()]
    if names.count(column) != 1:
        found = "several columns are" if column in names else "no column is"
        known = excerpt(", ".join(names), ROOM_FOR_NAMES)
        raise DataError(f"{path}, line 1: {found} named {column!r} in {known}")
    return names.index(column)
