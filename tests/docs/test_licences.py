"""The list of licences, against the lock."""

import re

import pytest

from tests.licences import COPYLEFT, PAGE, follows, locked

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Za-z0-9._-]+ \| \d", line)
]


def test_every_locked_package_has_its_row_and_no_other_has() -> None:
    assert {name: version for name, version, *_ in ROWS} == locked()
    assert len(ROWS) == len(locked())


def test_every_package_has_a_licence() -> None:
    assert [name for name, _, licence, _ in ROWS if not licence or "not said" in licence] == []


def test_of_every_copyleft_licence_it_is_said_what_follows() -> None:
    assert [name for name, _, licence, _ in ROWS if "GPL" in licence]
    for name, _, licence, told in ROWS:
        assert told == follows(name, licence)
        assert bool(told) >= bool(COPYLEFT.search(licence))


def test_no_package_brings_goa_under_its_own_terms() -> None:
    """A GPL without a choice or an exception: then goa could not be handed on with it."""
    strong = follows("any", "GPL-3.0")
    assert [name for name, *_, told in ROWS if told == strong] == []


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", ""),
        ("GPL-3.0-only", "comes under its terms"),
        ("AGPL-3.0", "comes under its terms"),
        ("GNU Lesser General Public License", "gives its source"),
        ("Mozilla Public License 2.0", "gives their source"),
    ],
)
def test_what_follows_is_of_the_licences_family(licence: str, expected: str) -> None:
    assert follows("any", licence).endswith(expected)
