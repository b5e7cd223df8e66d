"""Records: JSON lines, and Hugging Face datasets on disk."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goa.data.readers.lines import read_lines
from goa.data.settings import DatasetCorpusSettings, JsonlCorpusSettings
from goa.errors import ROOM_FOR_NAMES, DataError, excerpt
from goa.records import Example

MAX_DEPTH = 100
"""Lists and objects within one another in a record: more could be read, but not written again."""

RecordSettings = JsonlCorpusSettings | DatasetCorpusSettings


def read_jsonl(path: Path, settings: JsonlCorpusSettings, split: str) -> Iterator[Example]:
    """Read a split from JSON lines; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, a line is no JSON object, or a field is missing or of
            the wrong type.
    """
    for number, line in read_lines(path):
        if line.strip():
            where = f"{path}, line {number}"
            yield _example(parse_record(line, where), settings, f"{split}-{number:06d}", where)


def read_dataset(
    folder: Path, split_name: str | None, settings: DatasetCorpusSettings, split: str
) -> Iterator[Example]:
    """Read a split from a dataset that ``datasets`` saved, memory-mapped.

    Raises:
        DataError: the folder holds no dataset, or not this split, or a field is missing or of the
            wrong type.
    """
    dataset = open_dataset(folder, split_name)
    fields = [settings.source, *settings.references, *([settings.id] if settings.id else [])]
    columns = sorted({_column(field, dataset.column_names, folder) for field in fields})
    # Other columns may hold what is slow to decode (images, sound).
    for number, record in enumerate(dataset.select_columns(columns).with_format(None)):
        where = f"{folder}, row {number}"
        yield _example(record, settings, f"{split}-{number:06d}", where)


def open_dataset(folder: Path, split_name: str | None) -> Any:
    """Open a dataset, or one split of several, without reading it.

    Raises:
        DataError: the folder holds no dataset, or not this split.
    """
    # Here, not above: importing datasets takes seconds.
    import datasets  # noqa: PLC0415

    try:
        found = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: no dataset that datasets.save_to_disk wrote: {error}") from None
    if isinstance(found, datasets.DatasetDict):
        names = ", ".join(found)
        if split_name is None:
            raise DataError(f"{folder}: holds the splits {names}; set data.corpus.train to one")
        if split_name not in found:
            raise DataError(f"{folder}: no split {split_name!r}; there are {names}")
        return found[split_name]
    if split_name is not None:
        raise DataError(f"{folder}: one dataset without splits; remove data.corpus.train")
    return found


def _column(field: str, columns: list[str], folder: Path) -> str:
    column = field if field in columns else field.split(".", maxsplit=1)[0]
    if column not in columns:
        known = excerpt(", ".join(columns), ROOM_FOR_NAMES)
        raise DataError(f"{folder}: no column {field!r}; there are {known}")
    return column


def parse_record(line: str, where: str) -> Mapping[str, Any]:
    """Read a line of JSON lines.

    Raises:
        DataError: it is no JSON object.
    """
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, column {error.colno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{where}: JSON beyond reason: {error}") from None
    # Few lines have so many brackets that it takes a look at what they hold.
    if line.count("[") + line.count("{") > MAX_DEPTH and _is_deeper(record, MAX_DEPTH):
        raise DataError(f"{where}: more than {MAX_DEPTH} lists and objects within one another")
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object in braces, found {_show(record)}")
    return record


def own_id(record: Mapping[str, Any], where: str) -> str | None:
    """Give the ``id`` of a record; None where it has none.

    Raises:
        DataError: it is neither a string nor a whole number.
    """
    found = record.get("id")
    if found is not None and (not isinstance(found, str | int) or isinstance(found, bool)):
        raise _wrong_type("id", "a string or a whole number", found, where)
    return None if found is None else str(found)


def refuse_surrogates(text: str, where: str) -> None:
    r"""Refuse half characters, which JSON can spell (``\ud800``) and no file can hold.

    Raises:
        DataError: there is one.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise DataError(f"{where}: {half} is half a character; it is no text") from None


def _example(
    record: Mapping[str, Any], settings: RecordSettings, default_id: str, where: str
) -> Example:
    source = _field(record, settings.source, where)
    if not isinstance(source, str):
        raise _wrong_type(settings.source, "a string", source, where)
    own_id = default_id if settings.id is None else _field(record, settings.id, where)
    if not isinstance(own_id, str | int) or isinstance(own_id, bool):
        raise _wrong_type(str(settings.id), "a string or a whole number", own_id, where)
    references = [
        text
        for field in settings.references
        for text in _texts(_field(record, field, where), field, where)
    ]
    example = Example(id=str(own_id), source=source, references=tuple(references))
    for text in (example.id, example.source, *example.references):
        refuse_surrogates(text, where)
    return example


def _texts(value: object, field: str, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _wrong_type(field, "a string or a list of strings", value, where)
    return texts


def _field(record: Mapping[str, Any], name: str, where: str) -> Any:
    """Find a field by its name, or step by step along the dots of its name."""
    if name in record:
        return record[name]
    first, _, rest = name.partition(".")
    inner = record.get(first)
    if rest and isinstance(inner, dict):
        return _field(inner, rest, where)
    known = excerpt(", ".join(record) or "none", ROOM_FOR_NAMES)
    raise DataError(f"{where}: no field {name!r}; there are {known}")


def _is_deeper(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(each, depth - 1) for each in inner)


def _wrong_type(field: str, expected: str, found: object, where: str) -> DataError:
    return DataError(f"{where}: field {field!r} should be {expected}, found {_show(found)}")


def _show(value: object) -> str:
    return excerpt(json.dumps(value, ensure_ascii=True, default=str))
