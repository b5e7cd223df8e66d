"""YAML from outside is plain values, or a message that says where it is wrong."""

import pytest

from goa.errors import SettingsError
from goa.yaml_text import parse_yaml

GROWING = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

DEEP = f"a: &a {'[' * 30}{']' * 30}\nb: {'[' * 30}*a{']' * 30}\n"


def test_aliases_and_merges_are_written_out() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n"
    assert parse_yaml(text, "here") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
    }


def test_a_long_name_leaves_the_message_short() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_yaml("a: *" + "x" * 5000, "params.yaml")
    assert "found undefined alias" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_an_empty_document_is_nothing() -> None:
    assert parse_yaml("", "here") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\nseed: 2", "'seed' is named twice"),
        ("[a]: 1", "found unhashable key"),
        ("a: {b: 1, b: 2}", "'b' is named twice"),
        ("[" * 2000, "more than 50 collections within one another"),
        ("{a: " * 2000, "more than 50 collections within one another"),
        (DEEP, "more than 50 collections within one another"),
        (GROWING, "more than 1,000,000 values"),
        ("a: &a [*a]", "an alias stands within what it stands for"),
        ("seed: " + "9" * 5000, "is no int"),
        ("seed: 0x" + "f" * 5000, "a whole number beyond 64 bits"),
        ("a: 2024-99-99", "'2024-99-99' is no timestamp; text goes in quotes"),
        ("a: !!timestamp x", "'x' is no timestamp"),
        ("a: 0x_", "'0x_' is no int"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("a: !!float", "'' is no float"),
        (r'a: "\UFFFFFFFF"', "not valid YAML"),
        (r'a: "\ud800"', "which no text in a file can have"),
        (r'"a\0": 1', "which no text in a file can have"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_what_is_no_plain_values_is_refused(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_yaml(text, "params.yaml")
    assert str(caught.value).startswith("params.yaml: not valid YAML: ")
    assert told in str(caught.value)
