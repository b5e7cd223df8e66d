"""What was seen before."""

import sqlite3

import pytest

from goa.data.digests import open_digests
from goa.errors import DataError


def test_a_tuple_is_new_once():
    with open_digests() as digests:
        assert [digests.add("a", "b"), digests.add("a", "b")] == [True, False]


def test_tuples_that_read_the_same_in_a_row_differ():
    with open_digests() as digests:
        assert [digests.add("ab", "c"), digests.add("a", "bc")] == [True, True]


def test_held_out_sources_are_found_and_counted_as_often_as_they_came():
    with open_digests() as digests:
        for split in ("validation", "test", "test"):
            digests.hold_out("a", split)
        digests.hold_out("never", "test")

        assert [digests.leaks("a"), digests.leaks("a"), digests.leaks("b")] == [True, True, False]
        assert digests.num_found() == {"validation": 1, "test": 2}


def test_a_full_temporary_folder_is_said():
    with pytest.raises(DataError, match="disk is full; set TMPDIR"), open_digests():
        raise sqlite3.OperationalError("database or disk is full")
