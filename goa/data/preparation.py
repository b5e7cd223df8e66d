"""Preparation: raw examples -> cleaned splits on disk, in one pass over each file."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from goa.data.census import Census
from goa.data.cleaning import Cleaner
from goa.data.corpus import CorpusWriter, split_path
from goa.data.digests import Digests, open_digests
from goa.data.readers.reader import read_examples
from goa.data.settings import SPLITS, DataSettings, SplitSettings
from goa.errors import DataError
from goa.randomness import derive_seed
from goa.records import Example

REPORT = "report.json"


def prepare_corpus(
    settings: DataSettings, seed: int, folder: Path, notice: Callable[[], None]
) -> Census:
    """Read, clean and split a corpus into a new folder; memory does not grow with its size.

    Args:
        settings: the section ``data``.
        seed: of the splits that are cut, and of the demo corpus.
        folder: gets an Arrow file for each split, and the data report.
        notice: called once for each example read.

    Raises:
        DataError: the data are not what they should be, or nothing is left of a split.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(CorpusWriter(split_path(folder, name))) for name in SPLITS
        }
        digests = stack.enter_context(open_digests())
        preparation = _Preparation(settings, seed, writers, digests)
        # Held-out files come first: training pairs are compared with them.
        for name in ("validation", "test", "train"):
            if settings.named(name):
                for example in read_examples(settings, name, seed):
                    preparation.take(example, name)
                    notice()
        census = preparation.census
        census.num_found_in_train = digests.num_found()
    _refuse_empty_splits(census, settings.path)
    whole = {"corpus": _describe(settings), **census.report()}
    report = json.dumps(whole, indent=2, ensure_ascii=False)
    (folder / REPORT).write_text(f"{report}\n", encoding="utf-8")
    return census


def cut(source: str, seed: int, shares: SplitSettings) -> str:
    """Say which split a source of the training data goes to; equal sources go to the same."""
    place = derive_seed(seed, "split", source) / 2**64
    validation, test = shares.validation or 0.0, shares.test or 0.0
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


class _Preparation:
    """Sends each example where it belongs, and counts it."""

    def __init__(
        self,
        settings: DataSettings,
        seed: int,
        writers: dict[str, CorpusWriter],
        digests: Digests,
    ) -> None:
        self.census = Census()
        self._settings = settings
        self._seed = seed
        self._writers = writers
        self._digests = digests
        self._cleaner = Cleaner(settings.cleaning, digests)
        self._has_own_ids = getattr(settings.corpus, "id", None) is not None

    def take(self, raw: Example, origin: str) -> None:
        """Clean one example of the data of a split, and write it to its split."""
        if self._has_own_ids and not self._digests.add("id", origin, raw.id):
            raise DataError(
                f"{self._settings.path}: the id {raw.id!r} occurs twice in {origin}; "
                "ids are to be unique, or leave data.corpus.id out"
            )
        example = self._cleaner.normalise(raw)
        name = origin
        if origin == "train":
            name = cut(example.source, self._seed, self._settings.splits)
        reason = self._cleaner.reason_to_drop(example, name)
        if reason is not None:
            self.census.splits[name].drop(reason)
            return
        new_source = self._digests.add("source", name, example.source)
        self.census.splits[name].keep(example, new_source=new_source)
        self._writers[name].add(example)
        if name != "train":
            self._digests.hold_out(example.source, name)


def _describe(settings: DataSettings) -> dict[str, Any]:
    """Say what was read, without the machine's folders."""
    return {
        "name": Path(settings.path).resolve().name,
        "kind": settings.corpus.kind,
        "languages": settings.languages,
        "lowercase": settings.cleaning.lowercase,
    }


def _refuse_empty_splits(census: Census, path: str) -> None:
    for name, split in census.splits.items():
        if split.num_kept == 0:
            dropped = [f"{reason} {count:,}" for reason, count in split.dropped().items() if count]
            raise DataError(
                f"{path}: nothing is left for {name}: {split.num_read:,} examples read"
                + (f", dropped for: {', '.join(dropped)}" if dropped else "")
                + "; give more data, a larger share in data.splits, or looser data.cleaning"
            )
