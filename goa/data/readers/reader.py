"""Which reader reads which kind of corpus."""

from collections.abc import Iterator
from pathlib import Path

from goa.data.demo import demo_examples
from goa.data.readers.lines import count_lines
from goa.data.readers.parallel import read_parallel
from goa.data.readers.records import open_dataset, read_dataset, read_jsonl
from goa.data.readers.tables import read_table
from goa.data.settings import (
    SPLITS,
    DatasetCorpusSettings,
    DataSettings,
    DemoCorpusSettings,
    JsonlCorpusSettings,
    ParallelCorpusSettings,
)
from goa.errors import DataError
from goa.records import Example


def read_examples(settings: DataSettings, split: str, seed: int) -> Iterator[Example]:
    """Stream the raw examples of a split that has data of its own; others are cut from train.

    Ids are the data's own, or ``train-000123`` for line 123 of the training file.

    Raises:
        DataError: the data are not what they should be; the message names file and line.
    """
    path, corpus = Path(settings.path), settings.corpus
    if isinstance(corpus, DemoCorpusSettings):
        return demo_examples(seed, corpus.num_examples)
    if isinstance(corpus, ParallelCorpusSettings):
        return read_parallel(path, getattr(corpus, split), split)
    name: str | None = getattr(corpus, split)
    if isinstance(corpus, DatasetCorpusSettings):
        return read_dataset(path, name, corpus, split)
    file = _file(path, name, split)
    if isinstance(corpus, JsonlCorpusSettings):
        return read_jsonl(file, corpus, split)
    return read_table(file, corpus, split)


def estimate_size(settings: DataSettings) -> int:
    """Count lines or rows of all data at hand: about how many examples :func:`read_examples` has.

    Raises:
        DataError: the data cannot be read.
    """
    return sum(_size(settings, split) for split in SPLITS if settings.named(split))


def _size(settings: DataSettings, split: str) -> int:
    path, corpus = Path(settings.path), settings.corpus
    if isinstance(corpus, DemoCorpusSettings):
        return corpus.num_examples
    files = getattr(corpus, split)
    if isinstance(corpus, DatasetCorpusSettings):
        return len(open_dataset(path, files))
    if isinstance(corpus, ParallelCorpusSettings):
        return count_lines(path / files.source)
    return count_lines(_file(path, files, split))


def _file(path: Path, name: str | None, split: str) -> Path:
    if name is None:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; name the file in it in data.corpus.{split}")
        return path
    if path.is_file():
        raise DataError(f"{path}: is a file itself; remove data.corpus.{split} or give its folder")
    return path / name
