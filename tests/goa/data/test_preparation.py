"""From raw data to splits."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from goa.data.census import Census
from goa.data.corpus import open_split
from goa.data.preparation import REPORT, cut, prepare_corpus
from goa.data.readers.reader import estimate_size
from goa.data.settings import DataSettings, SplitSettings
from goa.errors import DataError
from goa.records import Example

SHARES = {"validation": 0.2, "test": 0.2}
FIELDS = {"source": "de", "references": ["en"]}


def _settings(path: Path, corpus: dict, **sections: dict) -> DataSettings:
    return DataSettings.model_validate({"path": str(path), "corpus": corpus, **sections})


def _prepare(settings: DataSettings, folder: Path, seed: int = 1) -> Census:
    return prepare_corpus(settings, seed, folder, lambda: None)


def _jsonl(path: Path, *pairs: tuple[str, str], **more: str) -> None:
    rows = [json.dumps({"de": source, "en": reference, **more}) for source, reference in pairs]
    path.write_text("\n".join(rows) + "\n", "utf-8")


@pytest.fixture
def cut_by_seed(tmp_path) -> DataSettings:
    """200 pairs of 100 sources, to be cut."""
    _jsonl(tmp_path / "a.jsonl", *[(f"s {k % 100}", f"r {k}") for k in range(200)])
    return _settings(tmp_path / "a.jsonl", {"kind": "jsonl", **FIELDS}, splits=SHARES)


@pytest.fixture
def by_file(tmp_path) -> DataSettings:
    """Training pairs of which one repeats and two have held-out sources."""
    pairs = [("s1", "a"), ("s1", "a"), ("s1", "b"), ("t1", "c"), ("v1", "d"), ("", "e")]
    _jsonl(tmp_path / "train.jsonl", *pairs)
    _jsonl(tmp_path / "val.jsonl", ("v1", "x"), ("v1", "x"))
    _jsonl(tmp_path / "test.jsonl", ("t1", "x"), ("t2", "x"), ("", "y"))
    files = {"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"}
    return _settings(tmp_path, {"kind": "jsonl", **FIELDS, **files})


def test_equal_sources_are_cut_into_the_same_split(cut_by_seed, tmp_path):
    _prepare(cut_by_seed, tmp_path / "out")

    sources = {
        split: {example.source for example in open_split(tmp_path / "out", split)}
        for split in ("train", "validation", "test")
    }

    assert sum(map(len, sources.values())) == len(set.union(*sources.values())) == 100


def test_the_cut_follows_the_seed(cut_by_seed, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        _prepare(cut_by_seed, tmp_path / name, seed)

    contents = [(tmp_path / name / "test.arrow").read_bytes() for name in "abc"]

    assert contents[0] == contents[1] != contents[2]


def test_shares_are_met_on_average():
    shares = SplitSettings(validation=0.1, test=0.3)

    counts = Counter(cut(f"source {number}", 1, shares) for number in range(10_000))

    # Five standard deviations of a binomial with 10,000 draws.
    assert abs(counts["validation"] - 1000) < 150
    assert abs(counts["test"] - 3000) < 230


def test_what_is_dropped_is_counted_by_reason(by_file, tmp_path):
    census = _prepare(by_file, tmp_path / "out")

    assert [example.references for example in open_split(tmp_path / "out", "train")] == [
        ("a",),
        ("b",),
    ]
    assert {name: count for name, count in census.splits["train"].dropped().items() if count} == {
        "duplicate": 1,
        "leaked": 2,
        "empty_side": 1,
    }


def test_held_out_sentences_met_in_train_are_counted(by_file, tmp_path):
    census = _prepare(by_file, tmp_path / "out")

    assert census.num_found_in_train == {"validation": 2, "test": 1}


def test_the_test_split_is_kept_whole(by_file, tmp_path):
    _prepare(by_file, tmp_path / "out")

    assert [example.source for example in open_split(tmp_path / "out", "test")] == ["t1", "t2", ""]


def test_ids_tell_the_file_and_the_line(by_file, tmp_path):
    _prepare(by_file, tmp_path / "out")

    ids = [example.id for example in open_split(tmp_path / "out", "train")]

    assert ids == ["train-000001", "train-000003"]


def test_ids_of_the_data_are_kept_and_must_be_unique(tmp_path):
    _jsonl(tmp_path / "a.jsonl", *[(f"s {k}", "r") for k in range(50)], no="seven")
    corpus = {"kind": "jsonl", "id": "no", **FIELDS}

    with pytest.raises(DataError, match="the id 'seven' occurs twice in train"):
        _prepare(_settings(tmp_path / "a.jsonl", corpus, splits=SHARES), tmp_path / "out")


def test_a_split_of_which_nothing_is_left_is_refused_with_the_reasons(by_file, tmp_path):
    _jsonl(tmp_path / "val.jsonl", ("", "x"), ("", "x"))

    with pytest.raises(
        DataError, match=r"nothing is left for validation: 2 examples read, .* empty_side 2"
    ):
        _prepare(by_file, tmp_path / "out")


def test_the_report_on_disk_holds_the_summary(by_file, tmp_path):
    census = _prepare(by_file, tmp_path / "out")

    report = json.loads((tmp_path / "out" / REPORT).read_text("utf-8"))

    assert census.summary()["train"].items() <= report["train"].items()
    assert report["train"]["histograms"]["references_per_source"] == {"1": 2}


def test_each_example_read_is_noticed_and_was_foreseen(by_file, tmp_path):
    noticed: list[None] = []

    prepare_corpus(by_file, 1, tmp_path / "out", lambda: noticed.append(None))

    assert len(noticed) == estimate_size(by_file) == 11


def test_a_folder_where_a_file_is_meant_is_refused(tmp_path):
    settings = _settings(tmp_path, {"kind": "jsonl", **FIELDS}, splits=SHARES)

    with pytest.raises(DataError, match=r"is a folder; name the file in it in data\.corpus\.train"):
        _prepare(settings, tmp_path / "out")


def test_a_file_where_a_folder_is_meant_is_refused(tmp_path):
    _jsonl(tmp_path / "a.jsonl", ("a", "b"))
    corpus = {"kind": "jsonl", "train": "a.jsonl", **FIELDS}

    with pytest.raises(DataError, match="is a file itself"):
        _prepare(_settings(tmp_path / "a.jsonl", corpus, splits=SHARES), tmp_path / "out")


@pytest.mark.parametrize("kind", ["tsv", "csv", "parallel", "demo"])
def test_every_form_of_text_is_prepared(tmp_path, kind):
    pairs = [(f"s{k}", f"r{k}") for k in range(60)]
    for name, separator in (("tsv", "\t"), ("csv", ",")):
        rows = "".join(f"{separator.join(pair)}\n" for pair in pairs)
        (tmp_path / f"a.{name}").write_text(rows, "utf-8")
    for side, name in enumerate(("a.de", "a.en")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in pairs), "utf-8")
    table = {"source": 0, "references": [1], "header": False, "train": f"a.{kind}"}
    corpus = {
        "parallel": {"train": {"source": "a.de", "references": ["a.en"]}},
        "demo": {"num_examples": 60},
    }.get(kind, table)

    census = _prepare(_settings(tmp_path, {"kind": kind, **corpus}, splits=SHARES), tmp_path / "o")

    assert sum(split.num_kept for split in census.splits.values()) == 60


MEASURE = """
import re, sys
from pathlib import Path
from goa.data.corpus import open_split
from goa.data.preparation import prepare_corpus
from goa.data.readers.reader import estimate_size
from goa.data.settings import DataSettings
settings = DataSettings.model_validate_json(sys.argv[1])
estimate_size(settings)
prepare_corpus(settings, 1, Path(sys.argv[2]), lambda: None)
open_split(Path(sys.argv[2]), "train").rows([5, 50])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def _peak_mebibytes(folder: Path, num_pairs: int) -> float:
    path = folder / f"{num_pairs}.jsonl"
    text = "eine lange Zeile mit vielen Wörtern, damit es auffiele, wenn jemand sie behielte " * 12
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_pairs):
            file.write(json.dumps({"de": f"{number} {text}", "en": f"{text} {number}"}) + "\n")
    settings = _settings(path, {"kind": "jsonl", **FIELDS}, splits=SHARES)
    command = [sys.executable, "-c", MEASURE, settings.model_dump_json(), f"{path}.out"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    # Not getrusage: its peak includes that of the parent which started the process.
    return int(found.stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read on Linux")
def test_memory_does_not_grow_with_the_number_of_pairs(tmp_path):
    """To hold the 20,000 more pairs would take over 36 MiB; SQLite's cache may take 8."""
    few, many = (_peak_mebibytes(tmp_path, num_pairs) for num_pairs in (2_000, 22_000))

    assert many - few < 12


MULTI30K = Path(__file__).parents[3] / "../shared/data/multi30k"


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="the Multi30k corpus is not here")
def test_all_of_multi30k_is_read(tmp_path):
    corpus = {
        split: {"source": f"{name}.de.gz", "references": [f"{name}.en.gz"]}
        for split, name in (
            ("train", "train"),
            ("validation", "val"),
            ("test", "test_2016_flickr"),
        )
    }
    cleaning = {"max_words": 100, "max_length_ratio": 12.0, "lowercase": True}

    census = _prepare(
        _settings(MULTI30K, {"kind": "parallel", **corpus}, cleaning=cleaning), tmp_path / "out"
    )

    read = {name: split.num_read for name, split in census.splits.items()}
    assert read == {"train": 29_000, "validation": 1014, "test": 1000}
    assert {name: count for name, count in census.splits["train"].dropped().items() if count} == {
        "duplicate": 3,
        "leaked": 1,
    }
    assert census.splits["validation"].num_kept == 1014
    assert census.splits["test"].num_kept == 1000
    assert census.num_found_in_train == {"validation": 1, "test": 0}
    assert isinstance(open_split(tmp_path / "out", "train")[28_995], Example)
