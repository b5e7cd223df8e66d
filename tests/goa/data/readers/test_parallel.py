"""Parallel text."""

import pytest

from goa.data.readers.parallel import read_parallel
from goa.data.settings import ParallelFiles
from goa.errors import DataError
from goa.records import Example

FILES = ParallelFiles(source="a.de", references=["a.en", "b.en"])


def _write(folder, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text, "utf-8")


def test_line_i_belongs_to_line_i(tmp_path):
    _write(tmp_path, a_de="eins\nzwei\n", a_en="one\ntwo\n", b_en="1\n2\n")

    assert list(read_parallel(tmp_path, FILES, "train")) == [
        Example(id="train-000001", source="eins", references=("one", "1")),
        Example(id="train-000002", source="zwei", references=("two", "2")),
    ]


def test_unequal_lengths_are_refused_with_both_counts(tmp_path):
    _write(tmp_path, a_de="eins\nzwei\ndrei\n", a_en="one\ntwo\nthree\n", b_en="1\n2\n")

    with pytest.raises(DataError, match=r"a\.de has 3 lines, .*b\.en has 2 lines"):
        list(read_parallel(tmp_path, FILES, "train"))
