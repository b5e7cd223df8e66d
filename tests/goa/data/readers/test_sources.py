"""Sources of a stream."""

import pytest

from goa.data.readers.sources import Source, read_sources
from goa.errors import DataError
from goa.records import Example


def read(*lines: str, json_lines: bool = False) -> list[Source]:
    return list(read_sources(enumerate(lines, 1), "stream", json_lines=json_lines))


def test_every_line_of_text_is_a_source() -> None:
    assert read("a b", "") == [
        Source(
            example=Example(id=number, source=text, references=()),
            record={"id": number, "source": text},
            where=f"stream, line {number}",
        )
        for number, text in [("1", "a b"), ("2", "")]
    ]


def test_a_json_line_keeps_its_fields_and_may_name_itself() -> None:
    first, second = read(
        '{"source": "a", "x": [1]}', " ", '{"id": 7, "source": ""}', json_lines=True
    )
    assert first.record == {"id": "1", "source": "a", "x": [1]}
    assert second.example == Example(id="7", source="", references=())
    assert second.record == {"id": 7, "source": ""}


def test_sources_are_read_as_they_come() -> None:
    sources = read_sources(iter([(1, '{"source": "a"}'), (2, "{}")]), "stream", json_lines=True)
    assert next(sources).example.source == "a"
    with pytest.raises(DataError, match="stream, line 2: source is missing; expected a string"):
        next(sources)
