"""Where an output differs from another, word by word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa.report.html.differing import differing

TEXTS = st.text(alphabet="ab \n", max_size=12)


@pytest.mark.parametrize(
    ("text", "other", "parts"),
    [
        ("a b c", "a b c", ["=a b c"]),
        ("a x c", "a b c", ["=a", "= ", "+x", "= c"]),
        ("a c", "a b c", ["=a", "- b", "= c"]),
        ("a b c", "a c", ["=a", "= ", "+b", "= c"]),
        ("b c", "a b c", ["-a ", "=b c"]),
        ("a b", "", ["+a b"]),
        ("", "a b", ["-a b"]),
        ("", "", []),
        ("a  b ", "a b", ["=a  b", "= "]),
    ],
)
def test_words_are_of_both_or_of_one(text: str, other: str, parts: list[str]) -> None:
    assert differing(text, other) == parts


@given(TEXTS, TEXTS)
def test_without_signs_and_left_out_words_it_is_the_text(text: str, other: str) -> None:
    kept = [part[1:] for part in differing(text, other) if part[0] != "-"]
    assert "".join(kept) == text


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert {part[0] for part in differing(text, text)} <= {"="}
