"""What a test set is known by."""

import pytest

from goa.records import Example
from pipelines.retest import digest_of

EXAMPLES = (
    Example(id="1", source="rot", references=("red",)),
    Example(id="2", source="Hund", references=("dog", "hound")),
)


def test_equal_examples_have_equal_digests() -> None:
    assert digest_of(EXAMPLES) == digest_of(list(EXAMPLES))


@pytest.mark.parametrize(
    "others",
    [
        EXAMPLES[::-1],
        EXAMPLES[:1],
        (EXAMPLES[0], Example(id="2", source="Hund", references=("dog",))),
        (EXAMPLES[0], Example(id="2", source="Hund", references=("hound", "dog"))),
        (EXAMPLES[0], Example(id="2", source="Hunde", references=("dog", "hound"))),
        (EXAMPLES[0], Example(id="3", source="Hund", references=("dog", "hound"))),
        (EXAMPLES[0], Example(id="2", source="Hund", references=("do", "ghound"))),
    ],
)
def test_whatever_changes_in_a_test_set_changes_its_digest(others: tuple[Example, ...]) -> None:
    assert digest_of(others) != digest_of(EXAMPLES)


def test_a_text_that_is_no_unicode_has_a_digest() -> None:
    assert digest_of([Example(id="1", source="\ud800", references=("",))])
