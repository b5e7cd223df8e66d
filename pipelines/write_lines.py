"""Writing a text for each line of a file or a stream."""

import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Console
from rich.progress import Progress, TextColumn

from goa.data.readers.lines import decode_lines, read_lines
from goa.data.readers.samples import JSON_SUFFIXES
from goa.data.readers.sources import Source, read_sources
from goa.decoding.generation import Candidates
from goa.errors import DataError, PolicyError, SettingsError
from goa.policies.policy import Policy
from goa.tracking.progress import SpeedColumn
from pipelines.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Where sources come from, and where texts go."""

    stdin: BinaryIO
    """Read where no file of sources is named."""
    stdout: BinaryIO
    """Written to where no file for texts is named."""
    sources: Path | None
    """Text, or JSON lines by its suffix."""
    texts: Path | None
    """JSON lines by its suffix, too; replaced as a whole, at the end."""
    json_lines: bool
    """Write JSON lines whatever the suffix, and read them from standard input."""
    all_candidates: bool
    """Write all candidates of each source, which text has no room for."""
    sources_per_batch: int
    """Sources read and written at a time: memory does not grow with their number."""

    def __post_init__(self) -> None:
        if self.all_candidates and not self.writes_json:
            raise SettingsError("--all writes several candidates a source: add --json")

    @property
    def writes_json(self) -> bool:
        """Whether JSON lines are written."""
        return self.json_lines or (self.texts is not None and _is_json(self.texts))


def write_lines(writer: Writer, lines: Lines) -> int:
    r"""Write a line for each source, in their order.

    Of text, line breaks in what is written become ``\n`` and ``\r``, spelt out; the number of
    texts that had any is given back.

    Raises:
        DataError: a source cannot be read, or has no room in the model; or a file refuses.
        EvaluatorError: the evaluator cannot choose.
    """
    num_broken = 0
    with _output(lines) as file, _count(lines) as progress:
        bar = progress.add_task("", total=None, unit="sources")
        for batch in _batches(_read(lines), lines.sources_per_batch):
            for record in _write(writer, batch, all_candidates=lines.all_candidates):
                line = _as_json(record) if lines.writes_json else _one_line(record["candidate"])
                num_broken += not lines.writes_json and line != record["candidate"]
                file.write(f"{line}\n".encode())
            file.flush()
            progress.advance(bar, len(batch))
    return num_broken


def _read(lines: Lines) -> Iterator[Source]:
    if lines.sources is None:
        name = "standard input"
        return read_sources(decode_lines(lines.stdin, name), name, json_lines=lines.json_lines)
    found = read_lines(lines.sources)
    return read_sources(found, str(lines.sources), json_lines=_is_json(lines.sources))


def _batches(sources: Iterator[Source], size: int) -> Iterator[list[Source]]:
    while batch := list(islice(sources, size)):
        yield batch


def _write(
    writer: Writer, batch: Sequence[Source], *, all_candidates: bool
) -> Iterator[Mapping[str, Any]]:
    """Put candidates beside what is known of each source."""
    candidates, chosen = _decode(writer, batch)
    log_probs = candidates.log_probs.sum(dim=-1).tolist()
    for source, texts, of_texts, place in zip(
        batch, candidates.texts, log_probs, chosen, strict=True
    ):
        record = {**source.record, "candidate": texts[place]}
        if all_candidates:
            record["candidates"] = [
                {"candidate": text, "log_prob": log_prob}
                for text, log_prob in zip(texts, of_texts, strict=True)
            ]
        yield record


def _decode(writer: Writer, batch: Sequence[Source]) -> tuple[Candidates, list[int]]:
    try:
        return writer.write([source.example for source in batch])
    except PolicyError as error:
        raise _culprit(writer.policy, batch) or error from None


def _culprit(policy: Policy, batch: Sequence[Source]) -> DataError | None:
    """Find the first source that a policy cannot read."""
    for source in batch:
        try:
            policy.room(policy.tokenize_sources([source.example.source]))
        except PolicyError as error:
            return DataError(f"{source.where}: {error}")
    return None


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _as_json(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, in a field that is passed on
        return json.dumps(record)
    return text


@contextmanager
def _output(lines: Lines) -> Iterator[BinaryIO]:
    """Open what is written to; a file is replaced when all is done, and stays if that fails."""
    path = lines.texts
    if path is None:
        yield lines.stdout
        return
    # A device or a pipe is written to as it is.
    whole = path.is_file() or not path.exists()
    place = path.resolve().with_name(f".{path.name}.unfinished") if whole else path
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(place, "wb") as file:
            yield cast("BinaryIO", file)
        if whole:
            place.replace(path.resolve())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if whole:
            with suppress(OSError):
                place.unlink()


def _count(lines: Lines) -> Progress:
    """Count on standard error, if that is a terminal and no text is written to it."""
    shown = sys.stderr.isatty() and (lines.texts is not None or not sys.stdout.isatty())
    return Progress(
        TextColumn("{task.completed:,} sources"),
        SpeedColumn(),
        console=Console(stderr=True),
        disable=not shown,
        transient=True,
    )


def _is_json(path: Path) -> bool:
    return path.name.endswith(JSON_SUFFIXES)
