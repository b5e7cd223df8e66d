"""Sides take turns, and texts come from folders and files."""

import gzip
import json
from argparse import Namespace
from pathlib import Path

from benchmarks.harness import Side, median, read_examples, table, take_turns, write_json


def test_sides_take_turns_and_the_first_time_is_not_counted() -> None:
    said: list[str] = []

    def side(name: str) -> Side:
        return Side(
            prepare=lambda: said.append(f"before {name}"),
            work=lambda seed: said.append(name) or {"seed": seed, "seconds": 2.0},
        )

    runs = take_turns({"a": side("a"), "b": side("b")}, repeats=2)
    assert said == ["before a", "a", "before b", "b"] * 3
    assert [run["seed"] for run in runs["b"]] == [1, 2]
    assert median(runs["a"], "seed", per="seconds") == 0.75


def test_examples_come_from_lines_packed_or_not(tmp_path: Path) -> None:
    sources, references = tmp_path / "a.gz", tmp_path / "b"
    sources.write_bytes(gzip.compress(b"ein Hund \nzwei\n"))
    references.write_text("a dog\ntwo\n")
    first, second = read_examples([sources, references])
    assert (first.source, first.references) == ("ein Hund", ("a dog",))
    assert second.id == "1"
    assert [example.source for example in read_examples([sources], 1)] == ["ein Hund"]


def test_numbers_are_written_with_what_they_were_measured_with(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "x.json", Namespace(data=[Path("here")], threads=2), {"a": 1.5})
    written = json.loads((tmp_path / "new" / "x.json").read_text())
    assert written == {"arguments": {"data": ["here"], "threads": 2}, "found": {"a": 1.5}}


def test_numbers_stand_to_the_right() -> None:
    assert table(["who", "s"], [["goa", "1"]]) == "| who | s |\n| --- | ---: |\n| goa | 1 |"
