"""A cleaned split on disk: one Arrow file, memory-mapped, with random access."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from goa.errors import DataError
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

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._texts = [table.column(name) for name in ("id", "source", "references")]

    @classmethod
    def open(cls, path: Path) -> "Corpus":
        """Open an Arrow file that :func:`write_corpus` wrote.

        Raises:
            DataError: the file is missing, damaged or of other columns.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; run the prepare stage") from None
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path}: no Arrow file: {error}; run the prepare stage") from None
        if table.schema != SCHEMA:
            found = ", ".join(table.schema.names)
            raise DataError(f"{path}: holds {found}, which is no corpus; run the prepare stage")
        return cls(table)

    def __len__(self) -> int:
        """Count the examples."""
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Example:
        """Read the example at an index from 0.

        Raises:
            IndexError: there is no such example.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        example_id, source, references = (column[index].as_py() for column in self._texts)
        return Example(id=example_id, source=source, references=tuple(references))

    def __iter__(self) -> Iterator[Example]:
        """Read all examples in order, a batch at a time."""
        for batch in self._table.to_batches(max_chunksize=ROWS_PER_BATCH):
            columns = (batch.column(name).to_pylist() for name in ("id", "source", "references"))
            for example_id, source, references in zip(*columns, strict=True):
                yield Example(id=example_id, source=source, references=tuple(references))

    def rows(self, indices: Sequence[int]) -> list[Example]:
        """Read some examples, in the order they are asked for."""
        return [self[index] for index in indices]


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
