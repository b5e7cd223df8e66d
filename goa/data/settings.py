"""Where a corpus comes from, how it is split, and what is cleaned out of it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from goa.settings import Settings

SPLITS = ("train", "validation", "test")

FileName = Annotated[str, Field(min_length=1)]
"""A file under ``data.path``; a name that ends in .gz is read as gzip."""
FieldName = Annotated[str, Field(min_length=1)]
"""A field of a record; a dot reaches into a field that is a record itself (translation.de)."""
Column = Annotated[int, Field(ge=0, le=10_000)] | Annotated[str, Field(min_length=1)]
"""A column by its name in the header, or by its place, counted from 0."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A language's code, as the web has them (BCP 47): de, en, pt-BR."""


class DemoCorpusSettings(Settings):
    """The built-in corpus of place reviews."""

    kind: Literal["demo"]
    num_examples: int = Field(4000, ge=50, le=10_000_000)
    """Pairs that are made up."""


class ParallelFiles(Settings):
    """Text files whose lines belong together: line i of each reference file to source line i."""

    source: FileName
    """What the policy reads."""
    references: list[FileName] = Field(min_length=1)
    """What it should write: a file for each reference."""

    @model_validator(mode="after")
    def _files_differ(self) -> "ParallelFiles":
        _refuse_repeats([self.source, *self.references], "file")
        return self


class ParallelCorpusSettings(Settings):
    """Parallel text in the folder ``data.path``."""

    kind: Literal["parallel"]
    train: ParallelFiles
    """Training pairs."""
    validation: ParallelFiles | None = None
    """None named means a share of the training pairs, as splits says."""
    test: ParallelFiles | None = None
    """None named means a share of the training pairs, as splits says."""

    @model_validator(mode="after")
    def _splits_differ(self) -> "ParallelCorpusSettings":
        _refuse_shared_splits([self.train, self.validation, self.test])
        return self


class _FileCorpusSettings(Settings):
    """One file a split."""

    train: FileName | None = None
    """None where ``data.path`` is the file itself, all of the corpus."""
    validation: FileName | None = None
    """None named means a share of the training pairs, as splits says."""
    test: FileName | None = None
    """None named means a share of the training pairs, as splits says."""

    @model_validator(mode="after")
    def _splits_make_sense(self) -> "_FileCorpusSettings":
        _refuse_shared_splits([self.train, self.validation, self.test])
        if self.train is None and (self.validation is not None or self.test is not None):
            raise ValueError("names files for other splits, but none for train")
        return self


class _TableCorpusSettings(_FileCorpusSettings):
    source: Column
    """By its name in the header, or by its place, counted from 0."""
    references: list[Column] = Field(min_length=1)
    """A column for each reference."""
    id: Column | None = None
    """Where there is none, ids are made of the split and the line number."""
    header: bool = True
    """Whether the first line names the columns."""

    @model_validator(mode="after")
    def _columns_make_sense(self) -> "_TableCorpusSettings":
        columns = [self.source, *self.references]
        _refuse_repeats(columns, "column")
        named = [column for column in [*columns, self.id] if isinstance(column, str)]
        if named and not self.header:
            raise ValueError(f"names column {named[0]!r}, but the file has no header to find it in")
        return self


class TsvCorpusSettings(_TableCorpusSettings):
    """Tab-separated values: no quoting, one line a row."""

    kind: Literal["tsv"]


class CsvCorpusSettings(_TableCorpusSettings):
    """Comma-separated values with double quotes, as in RFC 4180."""

    kind: Literal["csv"]
    delimiter: str = Field(",", min_length=1, max_length=1, pattern=r'^[^"\r\n]$')
    """One character between two values."""


class _RecordFields(Settings):
    source: FieldName
    """A dot reaches into a field that is a record itself: translation.de."""
    references: list[FieldName] = Field(min_length=1)
    """Each a string or a list of strings."""
    id: FieldName | None = None
    """Where there is none, ids are made of the split and the record's number."""

    @model_validator(mode="after")
    def _fields_differ(self) -> "_RecordFields":
        _refuse_repeats([self.source, *self.references], "field")
        return self


class JsonlCorpusSettings(_FileCorpusSettings, _RecordFields):
    """JSON lines: one object a line."""

    kind: Literal["jsonl"]


class DatasetCorpusSettings(_RecordFields):
    """A Hugging Face dataset that ``save_to_disk`` wrote into the folder ``data.path``."""

    kind: Literal["dataset"]
    train: str | None = None
    """A split of a DatasetDict; None where the folder holds one Dataset, all of the corpus."""
    validation: str | None = None
    """None named means a share of the training pairs, as splits says."""
    test: str | None = None
    """None named means a share of the training pairs, as splits says."""

    @model_validator(mode="after")
    def _splits_make_sense(self) -> "DatasetCorpusSettings":
        _refuse_shared_splits([self.train, self.validation, self.test])
        if self.train is None and (self.validation is not None or self.test is not None):
            raise ValueError("names other splits of a DatasetDict, but none for train")
        return self


CorpusSettings = Annotated[
    DemoCorpusSettings
    | ParallelCorpusSettings
    | TsvCorpusSettings
    | CsvCorpusSettings
    | JsonlCorpusSettings
    | DatasetCorpusSettings,
    Field(discriminator="kind"),
]
"""The kinds of corpora."""


class SplitSettings(Settings):
    """Shares of the training pairs that are held out, for splits that have no file of their own.

    A pair goes where the hash of the seed and its source says, so equal sources stay together and
    a share is met on average, not to the pair.
    """

    validation: float | None = Field(None, gt=0.0, lt=1.0)
    """Of the training pairs; none named where validation has data of its own."""
    test: float | None = Field(None, gt=0.0, lt=1.0)
    """Of the training pairs; none named where test has data of its own."""

    @model_validator(mode="after")
    def _something_is_left(self) -> "SplitSettings":
        if (self.validation or 0.0) + (self.test or 0.0) >= 1.0:
            raise ValueError("validation and test leave no share for train")
        return self


class CleaningSettings(Settings):
    """What training and validation pairs have to keep to; see :mod:`goa.data.cleaning`."""

    max_words: int | None = Field(None, ge=1, le=100_000)
    """Longest source, and longest reference, in words between spaces; None: any."""
    max_length_ratio: float | None = Field(None, ge=1.0, le=10_000.0)
    """Most words that the longer side may have for each word of the shorter; None: any."""
    lowercase: bool = False
    """Whether sources and references of all splits are lower-cased."""


class DataSettings(Settings):
    """The whole section ``data``."""

    path: str = Field(min_length=1)
    """File or folder the corpus comes from."""
    languages: list[Language] = Field(default_factory=list)
    """Of the texts, for the cards of policies; none named means that it is not said."""
    corpus: CorpusSettings
    """What form the corpus has."""
    splits: SplitSettings = SplitSettings()
    cleaning: CleaningSettings = CleaningSettings()

    @model_validator(mode="after")
    def _each_split_comes_from_one_place(self) -> "DataSettings":
        for name in ("validation", "test"):
            share = getattr(self.splits, name)
            named = self.named(name)
            if named and share is not None:
                raise ValueError(
                    f"{name} has both its own data (corpus.{name}) and a share of the training "
                    f"pairs (splits.{name}); remove one"
                )
            if not named and share is None:
                raise ValueError(
                    f"{name} has no data: give splits.{name} a share of the training pairs"
                    + ("" if self.corpus.kind == "demo" else f", or name corpus.{name}")
                )
        return self

    def named(self, split: str) -> bool:
        """Say whether a split has data of its own, and is not cut from the training pairs."""
        return split == "train" or getattr(self.corpus, split, None) is not None


def _refuse_repeats(names: Sequence[int | str], what: str) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{what} {repeated[0]!r} is named twice among source and references")


def _refuse_shared_splits(splits: Sequence[object]) -> None:
    given = [split for split in splits if split is not None]
    if any(split in given[:place] for place, split in enumerate(given)):
        raise ValueError("two splits name the same data")
