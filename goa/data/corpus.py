"""A cleaned split on disk: one Arrow file, memory-mapped, with random access."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from goa.errors import DataError, first_line
from goa.records import Example

ROWS_PER_BATCH = 1024
"""Rows written, and held in memory while writing, at a time."""
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("references", pa.list_(pa.string()), nullable=False),
    ]
)


class Corpus:
    """The examples of one split; rows are read from the memory map when they are asked for."""

    def __init__(self, table: pa.Table, path: Path) -> None:
        self._path = path
        self._batches = table.to_batches()
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))
        self._checked: set[int] = set()

    @classmethod
    def open(cls, path: Path) -> "Corpus":
        """Open an Arrow file that :func:`write_corpus` wrote.

        Raises:
            DataError: the file is missing, damaged or of other columns.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            fits, found = table.schema == SCHEMA, ", ".join(table.schema.names)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; run the prepare stage") from None
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise _damaged(path, error) from None
        if not fits:
            raise DataError(f"{path}: holds {found}, which is no corpus; run the prepare stage")
        return cls(table, path)

    def __len__(self) -> int:
        """Count the examples."""
        return int(self._ends[-1]) if self._ends else 0

    def __getitem__(self, index: int) -> Example:
        """Read the example at an index from 0.

        Raises:
            IndexError: there is no such example.
            DataError: the file is damaged there.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        place = bisect_right(self._ends, index)
        batch = self._batch(place)
        row = index - self._ends[place] + batch.num_rows
        example_id, source, references = (column[row].as_py() for column in batch.columns)
        return Example(id=example_id, source=source, references=tuple(references))

    def __iter__(self) -> Iterator[Example]:
        """Read all examples in order, a batch at a time."""
        for place in range(len(self._batches)):
            columns = (column.to_pylist() for column in self._batch(place).columns)
            for example_id, source, references in zip(*columns, strict=True):
                yield Example(id=example_id, source=source, references=tuple(references))

    def rows(self, indices: Sequence[int]) -> list[Example]:
        """Read some examples, in the order they are asked for."""
        return [self[index] for index in indices]

    def _batch(self, place: int) -> pa.RecordBatch:
        """Give a batch that has been looked through: Arrow ends the process on a damaged one."""
        batch = self._batches[place]
        if place not in self._checked:
            try:
                batch.validate(full=True)
            except pa.ArrowException as error:
                raise _damaged(self._path, error) from None
            if any(has_gaps(column) for column in batch.columns):
                raise _damaged(self._path, ValueError("it has gaps"))
            self._checked.add(place)
        return batch


def has_gaps(column: pa.Array) -> bool:
    """Say whether a value is missing in a column, or in a list of it."""
    inner = column.flatten() if pa.types.is_list(column.type) else column
    return bool(column.null_count or inner.null_count)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: no Arrow file: {first_line(error)}; run the prepare stage")


def open_split(folder: Path, name: str) -> Corpus:
    """Open "train", "validation" or "test" of a prepared folder.

    Raises:
        DataError: it is not there or not a corpus.
    """
    return Corpus.open(split_path(folder, name))


def split_path(folder: Path, name: str) -> Path:
    """Tell where a split of a prepared folder is kept."""
    return folder / f"{name}.arrow"


class CorpusWriter:
    """Writes examples to an Arrow file, a batch at a time; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[Example] = []
        self._writer = pa.ipc.new_file(str(path), SCHEMA)

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, example: Example) -> None:
        """Append an example."""
        self._pending.append(example)
        if len(self._pending) == ROWS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        rows = [_row(example) for example in self._pending]
        self._writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
        self._pending.clear()


def _row(example: Example) -> dict[str, object]:
    return {
        "id": example.id,
        "source": example.source,
        "references": example.references,
    }
