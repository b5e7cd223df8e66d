"""Lines of text files."""

import gzip
from pathlib import Path

import pytest

from goa.data.readers.lines import count_lines, read_lines
from goa.errors import DataError


def _lines(path: Path) -> list[str]:
    return [text for _, text in read_lines(path)]


def test_only_newlines_end_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\u0085c\vd\r\ne\rf\ng".encode())

    assert list(read_lines(path)) == [(1, "a\u2028b\u0085c\vd"), (2, "e\rf"), (3, "g")]


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")

    assert _lines(path) == ["a", "\ufeffb"]


def test_gzip_is_read_by_its_suffix(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("ä\nö\n".encode()))

    assert _lines(path) == ["ä", "ö"]
    assert count_lines(path) == 2


def test_reading_does_not_wait_for_the_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nbad \xff\n")

    lines = read_lines(path)

    assert next(lines) == (1, "good")
    with pytest.raises(DataError):
        next(lines)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"", "a.txt: the file is empty"),
        ("a.txt", b"ok\nab\xffcd\n", r"a.txt, line 2: not UTF-8 at byte 3 of the line \(0xff\)"),
        ("a.txt", "a\n".encode("utf-16"), "a.txt, line 1: not UTF-8 at byte 1"),
        ("a.txt.gz", b"plain\n", "a.txt.gz: damaged gzip file"),
        ("a.txt.gz", gzip.compress(b"line\n" * 9000, mtime=0)[:-20], "a.txt.gz: damaged gzip file"),
        ("a.txt", b"x" * (2 << 20), "a.txt, line 1: longer than 1 MiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=expected):
        _lines(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        _lines(tmp_path / "none.txt")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        _lines(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a\0b.gz"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="no file can have this name"):
        list(read_lines(Path(name)))
