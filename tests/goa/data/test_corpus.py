"""Splits on disk."""

from pathlib import Path

import pyarrow as pa
import pytest

from goa.data.corpus import ROWS_PER_BATCH, Corpus, CorpusWriter, open_split, split_path
from goa.errors import DataError
from goa.records import Example

NUM = 2 * ROWS_PER_BATCH + 7


def _example(index: int) -> Example:
    references = tuple("w " * (k + 1) + str(index) for k in range(index % 3 + 1))
    return Example(id=f"x-{index}", source=f"quelle {index}", references=references)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("data")
    with CorpusWriter(split_path(folder, "train")) as writer:
        for index in range(NUM):
            writer.add(_example(index))
    return open_split(folder, "train")


def test_every_example_comes_back_in_order(corpus):
    assert len(corpus) == NUM
    assert list(corpus) == [_example(index) for index in range(NUM)]


def test_examples_are_read_at_any_place(corpus):
    indices = [NUM - 1, 0, ROWS_PER_BATCH, ROWS_PER_BATCH - 1, 0]

    assert corpus.rows(indices) == [_example(index) for index in indices]


@pytest.mark.parametrize("index", [-1, NUM])
def test_an_index_outside_is_refused(corpus, index):
    with pytest.raises(IndexError, match=f"example {index} of {NUM}"):
        corpus[index]


def test_equal_examples_give_equal_files(tmp_path):
    for name in ("a", "b"):
        with CorpusWriter(split_path(tmp_path, name)) as writer:
            writer.add(_example(2))

    assert split_path(tmp_path, "a").read_bytes() == split_path(tmp_path, "b").read_bytes()


def test_a_missing_split_is_named(tmp_path):
    with pytest.raises(DataError, match=r"test\.arrow: no such file; run the prepare stage"):
        open_split(tmp_path, "test")


def test_a_file_of_another_format_is_refused(tmp_path):
    split_path(tmp_path, "test").write_bytes(b"no arrow here")

    with pytest.raises(DataError, match=r"test\.arrow: no Arrow file"):
        open_split(tmp_path, "test")


def test_an_arrow_file_of_other_columns_is_refused(tmp_path):
    table = pa.table({"text": ["a"]})
    with pa.ipc.new_file(str(split_path(tmp_path, "test")), table.schema) as writer:
        writer.write_table(table)

    with pytest.raises(DataError, match="holds text, which is no corpus"):
        open_split(tmp_path, "test")


def test_a_file_that_is_damaged_inside_is_refused_and_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    with CorpusWriter(path) as writer:
        writer.add(Example(id="1", source="a" * 64, references=("b",)))
    damaged = path.read_bytes().replace(b"a" * 64, b"\xff" * 64)
    path.unlink()
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"train\.arrow: no Arrow file: .*UTF8"):
        Corpus.open(path)[0]


def test_a_file_with_gaps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    with CorpusWriter(path) as writer:
        writer.add(Example(id="1", source="a", references=("b",)))
    schema = Corpus.open(path)._batches[0].schema
    path.unlink()
    batch = pa.record_batch([["1"], [None], [["b"]]], schema=schema)
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(DataError, match=r"train\.arrow: no Arrow file: .*it has gaps"):
        Corpus.open(path)[0]
