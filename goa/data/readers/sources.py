"""Sources to write texts for, from a stream of text or of JSON lines."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from goa.data.readers.records import own_id, parse_record, refuse_surrogates
from goa.errors import DataError, excerpt
from goa.records import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source, and where it came from."""

    example: Example
    """Id and source; it has no references."""
    record: Mapping[str, Any]
    """Its JSON object, id included; of a line of text, id and source."""
    where: str
    """File and line, for messages."""


def read_sources(
    lines: Iterable[tuple[int, str]], name: str, *, json_lines: bool
) -> Iterator[Source]:
    """Read sources as they come.

    A line of text is a source, also an empty one. A JSON line is an object with ``source``; ``id``,
    where it has none, is the number of its line, as it is of text. Blank lines between objects are
    passed over.

    Args:
        lines: with their numbers, from 1.
        name: of the file, for messages.
        json_lines: whether they are JSON.

    Raises:
        DataError: a line is no JSON object, or has no source.
    """
    for number, line in lines:
        where = f"{name}, line {number}"
        if not json_lines:
            yield _source({"source": line}, number, where)
        elif line.strip():
            yield _source(parse_record(line, where), number, where)


def _source(record: Mapping[str, Any], number: int, where: str) -> Source:
    text = record.get("source")
    if not isinstance(text, str):
        found = f"is {excerpt(repr(text))}" if "source" in record else "is missing"
        raise DataError(f"{where}: source {found}; expected a string")
    whole = {"id": str(number), **record}
    example = Example(id=own_id(record, where) or str(number), source=text, references=())
    for part in (example.id, example.source):
        refuse_surrogates(part, where)
    return Source(example=example, record=whole, where=where)
