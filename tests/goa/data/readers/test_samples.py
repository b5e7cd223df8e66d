"""Candidates from files."""

import gzip
import json
from pathlib import Path

import pytest

from goa.data.readers.samples import read_samples
from goa.errors import DataError
from goa.records import Example, Sample


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_line_i_of_every_file_belongs_together(tmp_path: Path) -> None:
    candidates = write(tmp_path / "c.txt", "a", "")
    references = [write(tmp_path / "r1", "r", "s"), write(tmp_path / "r2", "t", "")]
    sources = write(tmp_path / "s", "x", "y")
    assert list(read_samples(candidates, references, sources)) == [
        Sample(example=Example(id="1", source="x", references=("r", "t")), candidate="a"),
        Sample(example=Example(id="2", source="y", references=("s", "")), candidate=""),
    ]


def test_json_lines_may_hold_everything_and_several_candidates(tmp_path: Path) -> None:
    records = [
        {"id": 7, "source": "x", "references": "r", "candidate": ["a", "b"]},
        {"references": ["r", "s"], "candidate": "c"},
    ]
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    seven = Example(id="7", source="x", references=("r",))
    assert list(read_samples(path)) == [
        Sample(example=seven, candidate="a"),
        Sample(example=seven, candidate="b"),
        Sample(example=Example(id="2", source="", references=("r", "s")), candidate="c"),
    ]


def test_files_of_their_own_go_before_what_json_lines_hold(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", '{"source": "x", "references": "r", "candidate": "a"}')
    (sample,) = read_samples(path, [write(tmp_path / "r", "s")], write(tmp_path / "s", "y"))
    assert sample.example == Example(id="1", source="y", references=("s",))


@pytest.mark.parametrize("longer", ["c.txt", "r.txt"])
def test_files_of_unequal_length_are_refused_with_their_lengths(
    longer: str, tmp_path: Path
) -> None:
    for name in ("c.txt", "r.txt"):
        write(tmp_path / name, *(["a"] * (3 if name == longer else 2)))
    with pytest.raises(DataError, match=rf"{longer} has 3 lines") as caught:
        list(read_samples(tmp_path / "c.txt", [tmp_path / "r.txt"]))
    assert "has 2 lines" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", ": expected an object in braces"),
        ("{", ", column 2: not JSON"),
        ("{}", ": references is missing.* --references"),
        ('{"references": "r"}', ": candidate is missing"),
        ('{"references": [], "candidate": "a"}', ": references is \\[\\]"),
        ('{"references": "r", "candidate": [1]}', ": candidate is \\[1\\]"),
        ('{"references": "r", "candidate": "a", "source": 1}', ": source is 1"),
    ],
)
def test_a_record_of_another_form_is_refused_with_its_line(
    line: str, message: str, tmp_path: Path
) -> None:
    good = '{"references": "r", "candidate": "a"}'
    path = write(tmp_path / "c.jsonl", good, line)
    with pytest.raises(DataError, match=f"c.jsonl, line 2{message}"):
        list(read_samples(path))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (r'{"candidate": "\ud800", "references": "a"}', "half a character"),
        (r'{"candidate": "a", "references": "\ud800"}', "half a character"),
        ('{"candidate": "a", "references": "a", "id": []}', "field 'id' should be a string"),
        ('{"candidate": "a", "x": ' + "[" * 150 + "]" * 150 + "}", "more than 100 lists"),
    ],
)
def test_what_no_sample_can_be_is_refused(tmp_path: Path, record: str, said: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(f"{record}\n")
    with pytest.raises(DataError, match=rf"c\.jsonl, line 1: .*{said}"):
        list(read_samples(path))
