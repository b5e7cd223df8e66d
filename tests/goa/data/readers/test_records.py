"""JSON lines and saved datasets."""

import json
import os
import subprocess
import sys

import pytest

from goa.data.readers.reader import estimate_size, read_examples
from goa.data.readers.records import read_dataset, read_jsonl
from goa.data.settings import DatasetCorpusSettings, DataSettings, JsonlCorpusSettings
from goa.errors import DataError
from goa.records import Example
from goa.settings import validate

FIELDS = {"source": "de", "references": ["en"]}


def _read(tmp_path, *lines: str, **settings: object) -> list[Example]:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    model = JsonlCorpusSettings(kind="jsonl", **{**FIELDS, **settings})
    return list(read_jsonl(path, model, "train"))


def test_a_reference_field_is_a_string_or_a_list(tmp_path):
    lines = [{"de": "eins", "en": "one"}, {"de": "zwei", "en": ["two", "2"]}]

    examples = _read(tmp_path, *map(json.dumps, lines))

    assert examples == [
        Example(id="train-000001", source="eins", references=("one",)),
        Example(id="train-000002", source="zwei", references=("two", "2")),
    ]


def test_several_reference_fields_are_put_together(tmp_path):
    line = json.dumps({"de": "eins", "en": ["one"], "more": "1"})

    assert _read(tmp_path, line, references=["en", "more"])[0].references == ("one", "1")


def test_a_dot_reaches_into_a_record(tmp_path):
    line = json.dumps({"translation": {"de": "eins", "en": "one"}})
    fields = {"source": "translation.de", "references": ["translation.en"]}

    assert _read(tmp_path, line, **fields)[0].source == "eins"


def test_ids_are_nothing_else(tmp_path):
    with pytest.raises(DataError, match="'no' should be a string or a whole number, found true"):
        _read(tmp_path, '{"de": "a", "en": "b", "no": true}', id="no")


def test_ids_may_be_numbers(tmp_path):
    assert _read(tmp_path, '{"de": "a", "en": "b", "no": 7}', id="no")[0].id == "7"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"de": "a" "en": "b"}', r"a\.jsonl, line 2, column 12: not JSON: Expecting ',' delim"),
        ('["a", "b"]', r"a\.jsonl, line 2: expected an object in braces"),
        ('{"de": "a"}', r"a\.jsonl, line 2: no field 'en'; there are de"),
        ('{"de": 5, "en": "b"}', r"line 2: field 'de' should be a string, found 5"),
        ('{"de": "a", "en": null}', r"line 2: field 'en' should be a string or a list of strings"),
        ('{"de": "a", "en": ["b", 1]}', r"line 2: field 'en' should be a string or a list"),
        ('{"de": "\\ud800", "en": "b"}', r"line 2: \\ud800 is half a character"),
        ("[" * 100_000, r"line 2: JSON beyond reason"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(tmp_path, line, expected):
    with pytest.raises(DataError, match=expected):
        _read(tmp_path, '{"de": "a", "en": "b"}', line)


SAVE = """
import sys, datasets
rows = {"de": ["eins", "zwei"], "en": [["one", "1"], ["two"]], "extra": [1, 2]}
one = datasets.Dataset.from_dict(rows)
one.save_to_disk(sys.argv[1] + "/one")
datasets.DatasetDict({"train": one, "test": one.select([1])}).save_to_disk(sys.argv[1] + "/many")
"""


@pytest.fixture(scope="module")
def datasets_folder(tmp_path_factory):
    """Datasets saved by another process, whose home is elsewhere."""
    folder = tmp_path_factory.mktemp("datasets")
    home = {**os.environ, "HF_HOME": str(folder / "home")}
    subprocess.run([sys.executable, "-c", SAVE, str(folder)], check=True, env=home)
    return folder


def _dataset(folder, split: str | None, **settings: object) -> list[Example]:
    model = DatasetCorpusSettings(kind="dataset", **{**FIELDS, **settings})
    return list(read_dataset(folder, split, model, "train"))


def test_a_saved_dataset_is_read(datasets_folder):
    assert _dataset(datasets_folder / "one", None) == [
        Example(id="train-000000", source="eins", references=("one", "1")),
        Example(id="train-000001", source="zwei", references=("two",)),
    ]


def test_a_saved_dataset_may_be_the_data(datasets_folder):
    corpus = {"kind": "dataset", "train": "train", "test": "test", **FIELDS}
    content = {
        "path": str(datasets_folder / "many"),
        "corpus": corpus,
        "splits": {"validation": 0.5},
    }
    settings = validate(DataSettings, content, "here")
    assert [example.source for example in read_examples(settings, "test", seed=1)] == ["zwei"]
    assert estimate_size(settings) == 3


def test_a_split_of_a_saved_dataset_is_read(datasets_folder):
    assert [example.source for example in _dataset(datasets_folder / "many", "test")] == ["zwei"]


def test_reading_a_dataset_leaves_nothing_beside_it(datasets_folder):
    before = sorted(datasets_folder.rglob("*"))

    _dataset(datasets_folder / "one", None)

    assert sorted(datasets_folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "split", "settings", "expected"),
    [
        ("many", "valid", {}, "no split 'valid'; there are train, test"),
        ("many", None, {}, "holds the splits train, test; set data.corpus.train"),
        ("one", "train", {}, "one dataset without splits"),
        ("one", None, {"source": "fr"}, "no column 'fr'; there are de, en, extra"),
        ("one", None, {"source": "extra"}, "row 0: field 'extra' should be a string, found 1"),
        ("none", None, {}, "no dataset that datasets.save_to_disk wrote"),
        ("", None, {}, "no dataset that datasets.save_to_disk wrote"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(datasets_folder, name, split, settings, expected):
    with pytest.raises(DataError, match=expected):
        _dataset(datasets_folder / name, split, **settings)
