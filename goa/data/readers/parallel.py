"""Parallel text: line i of the references belongs to line i of the source."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from goa.data.readers.lines import read_lines
from goa.data.settings import ParallelFiles
from goa.errors import DataError
from goa.records import Example


def read_parallel(folder: Path, files: ParallelFiles, split: str) -> Iterator[Example]:
    """Read a split of parallel text.

    Raises:
        DataError: a file cannot be read, or the files are of unequal length.
    """
    paths = [folder / name for name in [files.source, *files.references]]
    for number, lines in enumerate(zip_longest(*map(read_lines, paths)), start=1):
        if None in lines:
            raise _unequal(paths)
        source, *references = (text for _, text in lines)
        yield Example(id=f"{split}-{number:06d}", source=source, references=tuple(references))


def _unequal(paths: Sequence[Path]) -> DataError:
    counts = [(path, sum(1 for _ in read_lines(path))) for path in paths]
    found = ", ".join(f"{path} has {count:,} lines" for path, count in counts)
    return DataError(f"parallel files of unequal length: {found}; line i must translate line i")
