"""TSV and CSV."""

import pytest

from goa.data.readers.tables import read_table
from goa.data.settings import CsvCorpusSettings, TsvCorpusSettings
from goa.errors import DataError
from goa.records import Example

NAMED = {"source": "de", "references": ["en"]}


def _read(tmp_path, content: str, kind: str = "tsv", **settings: object) -> list[Example]:
    path = tmp_path / f"a.{kind}"
    path.write_text(content, "utf-8", newline="")
    model = TsvCorpusSettings if kind == "tsv" else CsvCorpusSettings
    return list(read_table(path, model(kind=kind, **{**NAMED, **settings}), "train"))


def test_columns_are_found_by_name(tmp_path):
    examples = _read(tmp_path, "en\tx\tde\none\t?\teins\n")

    assert examples == [Example(id="train-000002", source="eins", references=("one",))]


def test_columns_are_found_by_place_without_a_header(tmp_path):
    examples = _read(tmp_path, "eins\tone\t1\n", source=0, references=[1, 2], header=False)

    assert examples == [Example(id="train-000001", source="eins", references=("one", "1"))]


def test_ids_may_come_from_a_column(tmp_path):
    assert _read(tmp_path, "de\ten\tno\neins\tone\ts1\n", id="no")[0].id == "s1"


def test_a_tab_separated_file_has_no_quotes(tmp_path):
    assert _read(tmp_path, 'de\ten\n"eins\t"one\n')[0].source == '"eins'


def test_blank_lines_are_passed_over(tmp_path):
    examples = _read(tmp_path, "de\ten\n\neins\tone\n\n")

    assert [example.id for example in examples] == ["train-000003"]


def test_csv_cells_may_hold_commas_quotes_and_newlines(tmp_path):
    content = 'de,en\r\n"eins, zwei","a ""b""\nc"\r\ndrei,three\r\n'

    examples = _read(tmp_path, content, kind="csv")

    assert examples == [
        Example(id="train-000002", source="eins, zwei", references=('a "b"\nc',)),
        Example(id="train-000004", source="drei", references=("three",)),
    ]


def test_csv_may_have_another_delimiter(tmp_path):
    assert _read(tmp_path, "de;en\na,b;c\n", kind="csv", delimiter=";")[0].source == "a,b"


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("tsv", "de\ten\neins\tone\tmore\n", r"a\.tsv, line 2: 3 columns, but the first line has"),
        ("csv", "de,en\neins\n", r"a\.csv, line 2: 1 columns, but the first line has 2"),
        ("csv", 'de,en\neins,one\n"zwei,two\n', r"a\.csv, line 3: not valid CSV"),
        ("tsv", "de\tfr\n", r"a\.tsv, line 1: no column is named 'en' in de, fr"),
        ("tsv", "de\ten\ten\n", r"a\.tsv, line 1: several columns are named 'en'"),
        ("tsv", "\n\n", "nothing but blank lines"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(tmp_path, kind, content, expected):
    with pytest.raises(DataError, match=expected):
        _read(tmp_path, content, kind=kind)


def test_a_place_beyond_the_row_is_refused(tmp_path):
    with pytest.raises(DataError, match="no column 5; there are 2, counted from 0"):
        _read(tmp_path, "a\tb\n", source=0, references=[5], header=False)
