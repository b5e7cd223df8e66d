"""Candidates beside what they are held against, from files of text or of JSON lines."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from goa.data.readers.lines import read_lines
from goa.data.readers.records import own_id, parse_record, refuse_surrogates
from goa.errors import DataError, excerpt
from goa.records import Example, Sample

JSON_SUFFIXES = (".jsonl", ".jsonl.gz")


def read_samples(
    candidates: Path, references: Sequence[Path] = (), sources: Path | None = None
) -> Iterator[Sample]:
    """Read samples, example by example.

    A file of text has one line an example. A file of JSON lines (by its suffix) has one object an
    example: ``candidate``, a string or a list of them; and, where no files of their own are named,
    ``references``, a string or a list, and ``source``; ``id`` if there is one. Without any source
    it is the empty text.

    Raises:
        DataError: a file cannot be read, or the files are of unequal length, or an example has no
            candidate or no reference.
    """
    paths = [candidates, *references, *([sources] if sources else [])]
    texts = [(text for _, text in read_lines(path)) for path in paths[1:]]
    for number, row in enumerate(zip_longest(_records(candidates), *texts), 1):
        if None in row:
            raise _unequal(paths)
        record, *beside = row
        where = f"{candidates}, line {number}"
        example = Example(
            id=own_id(record, where) or str(number),
            source=beside[-1] if sources else _strings(record, "source", where, default=[""])[0],
            references=tuple(
                beside[: len(references)] if references else _strings(record, "references", where)
            ),
        )
        for text in (example.id, example.source, *example.references):
            refuse_surrogates(text, where)
        for candidate in _strings(record, "candidate", where):
            refuse_surrogates(candidate, where)
            yield Sample(example=example, candidate=candidate)


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.name.endswith(JSON_SUFFIXES):
        yield from ({"candidate": line} for _, line in read_lines(path))
        return
    for number, line in read_lines(path):
        yield parse_record(line, f"{path}, line {number}")


def _strings(
    record: Mapping[str, Any], field: str, where: str, default: list[str] | None = None
) -> list[str]:
    value = record.get(field, default)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        found = "is missing" if value is None else f"is {excerpt(repr(value))}"
        hint = "; or name a file with --references" if field == "references" else ""
        raise DataError(f"{where}: {field} {found}; expected a string or a list of them{hint}")
    return texts


def _unequal(paths: Sequence[Path]) -> DataError:
    counts = [(path, sum(1 for _ in read_lines(path))) for path in paths]
    found = ", ".join(f"{path} has {count:,} lines" for path, count in counts)
    return DataError(f"files of unequal length: {found}; line i belongs to line i")
