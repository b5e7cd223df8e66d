"""Whatever a file of data holds: it is read, or a message names the file and what is wrong."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import TypeAdapter

from goa.data.readers.lines import count_lines, read_lines
from goa.data.readers.reader import estimate_size, read_examples
from goa.data.readers.samples import read_samples
from goa.data.readers.sources import read_sources
from goa.data.settings import CorpusSettings, DataSettings
from goa.errors import DataError
from tests.fuzzing.bad_input import BYTES, JSON_VALUES, TEXTS, mutated
from tests.fuzzing.cases import fuzz, refusal

CORPORA: dict[str, dict[str, Any]] = {
    "parallel": {"train": {"source": "a", "references": ["b"]}},
    "tsv": {"train": "a", "source": "x", "references": ["y"]},
    "csv": {"train": "a", "source": 0, "references": [1], "id": 0, "header": False},
    "jsonl": {"train": "a", "source": "x", "references": ["y", "z.w"], "id": "i"},
}
GOOD = b'x\ty\r\n"a, ""b""",c\n{"x": "a", "y": ["b"], "z": {"w": "c"}, "i": 1}\n\nlast'
CONTENTS = st.one_of(BYTES, mutated(GOOD), mutated(gzip.compress(GOOD, mtime=0)))
_CELLS = st.one_of(TEXTS, st.sampled_from(['"', '""', '"x"', "x\ty", "a,b", "\n", "x", "y"]))
TABLES = st.lists(st.lists(_CELLS, max_size=3).map(",".join), max_size=4).map("\n".join)
RECORDS = st.one_of(
    JSON_VALUES,
    st.dictionaries(
        st.sampled_from(["x", "y", "z.w", "z", "i", "id", "source", "candidate", "references"]),
        JSON_VALUES,
    ),
).map(json.dumps)


def refused_in_words(read: Callable[[], Iterable[object]], path: Path) -> None:
    """Read everything; where that is refused, see that the message names the file."""
    message = refusal(lambda: list(read()), DataError)
    assert message is None or (path.name in message and len(message) < 2000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(params=list(CORPORA))
def corpus(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the settings of a corpus of each kind; each has one file but for parallel."""
    kind: str = request.param
    return {"kind": kind, **CORPORA[kind]}


def read_all(folder: Path, corpus: dict[str, Any], suffix: str) -> Iterator[object]:
    """Read a corpus whose files lie in a folder, and estimate its size."""
    named = json.loads(json.dumps(corpus).replace('"a"', f'"a{suffix}"'))
    settings = DataSettings(
        path=str(folder),
        corpus=TypeAdapter(CorpusSettings).validate_python(named),
        splits={"validation": 0.1, "test": 0.1},  # type: ignore[arg-type]
    )
    estimate_size(settings)
    return read_examples(settings, "train", 0)


@fuzz("readers: corpora of any bytes", 100, content=CONTENTS, suffix=st.sampled_from(["", ".gz"]))
def test_any_bytes_are_a_corpus_or_refused_in_words(
    content: bytes, suffix: str, corpus: dict[str, Any], folder: Path
) -> None:
    path = folder / f"a{suffix}"
    path.write_bytes(content)
    (folder / "b").write_bytes(content)
    refused_in_words(lambda: read_all(folder, corpus, suffix), folder)


@fuzz("readers: corpora of tables and records", 60, text=st.one_of(TABLES, RECORDS))
def test_any_cells_and_records_are_a_corpus_or_refused_in_words(
    text: str, corpus: dict[str, Any], folder: Path
) -> None:
    content = text.encode("utf-8", "surrogatepass")
    for name in "ab":
        (folder / name).write_bytes(content)
    refused_in_words(lambda: read_all(folder, corpus, ""), folder)


@fuzz("readers: samples for goa score", 150, content=st.one_of(CONTENTS, RECORDS.map(str.encode)))
def test_any_bytes_are_samples_or_refused_in_words(content: bytes, folder: Path) -> None:
    path, other = folder / "samples.jsonl", folder / "samples.txt"
    path.write_bytes(content)
    other.write_bytes(content)
    refused_in_words(lambda: read_samples(path), path)
    refused_in_words(lambda: read_samples(other, [other], other), other)


@fuzz(
    "readers: sources for goa generate", 150, content=st.one_of(CONTENTS, RECORDS.map(str.encode))
)
def test_any_bytes_are_sources_or_refused_in_words(content: bytes, folder: Path) -> None:
    path = folder / "sources"
    path.write_bytes(content)

    def read() -> Iterator[object]:
        for source in read_sources(read_lines(path), path.name, json_lines=True):
            json.dumps(source.record)  # is passed on
            yield source

    refused_in_words(read, path)


@fuzz("readers: names of files", 60, name=TEXTS, suffix=st.sampled_from(["", ".gz"]))
def test_any_name_of_a_file_is_refused_in_words(name: str, suffix: str, folder: Path) -> None:
    path = folder / f"{name.replace('..', '_')}{suffix}"
    assert refusal(lambda: list(read_lines(path)), DataError)
    assert refusal(lambda: count_lines(path), DataError)
