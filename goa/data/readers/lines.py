"""Lines of a text file, plain or gzip."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from goa.errors import DataError

MAX_LINE_BYTES = 1 << 20
"""A longer line is no sentence: the file is binary, or its lines do not end in a newline."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Read lines with their numbers, from 1, without their ends.

    Only ``\n`` and ``\r\n`` end a line: a text may hold U+2028 or U+0085. A byte order mark is
    passed over.

    Raises:
        DataError: the file is missing, empty, not UTF-8 or damaged, or a line is over 1 MiB.
    """
    number = 0
    with _open(path) as file:
        for number, line in decode_lines(file, str(path)):
            yield number, line
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def decode_lines(file: BinaryIO, where: str) -> Iterator[tuple[int, str]]:
    """Read the lines of an open file, such as standard input, as :func:`read_lines` does.

    There may be none.

    Args:
        file: read line by line.
        where: its name, for messages.

    Raises:
        DataError: it is not UTF-8, or a line is over 1 MiB.
    """
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        yield number, _decode(raw, where, number)


def count_lines(path: Path) -> int:
    """Count line ends, far faster than by reading lines.

    Raises:
        DataError: the file cannot be read.
    """
    with _open(path) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with _opened(path) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check data.path and the file names") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _opened(path: Path) -> BinaryIO:
    try:
        return cast("BinaryIO", gzip.open(path) if path.suffix == ".gz" else path.open("rb"))
    except ValueError:  # a NUL, or half a character
        raise DataError(f"{str(path)!r}: no file can have this name") from None


def _decode(raw: bytes, where: str, number: int) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise DataError(f"{where}, line {number}: longer than 1 MiB; is this a text file?")
    if number == 1:
        raw = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}, line {number}: not UTF-8 at byte {error.start + 1} of the line "
            f"(0x{raw[error.start]:02x}); convert the file to UTF-8"
        ) from None
