"""What is dropped, and why."""

from collections.abc import Iterator

import pytest

from goa.data.cleaning import Cleaner
from goa.data.digests import Digests, open_digests
from goa.data.settings import CleaningSettings
from goa.records import Example


@pytest.fixture
def digests() -> Iterator[Digests]:
    with open_digests() as found:
        yield found


@pytest.fixture
def cleaner(digests) -> Cleaner:
    return Cleaner(CleaningSettings(max_words=4, max_length_ratio=2.0), digests)


def _example(source: str, *references: str) -> Example:
    return Example(id="1", source=source, references=references)


def test_white_space_of_any_kind_becomes_one_space(cleaner):
    found = cleaner.normalise(_example(" a\u00a0\u2028b\t", "c\r\nd"))

    assert found == _example("a b", "c d")


def test_characters_are_composed(cleaner):
    assert cleaner.normalise(_example("e\u0301", "x")).source == "\u00e9"


def test_case_is_kept_unless_asked_otherwise(cleaner, digests):
    lower = Cleaner(CleaningSettings(lowercase=True), digests)

    assert cleaner.normalise(_example("Ä", "B")) == _example("Ä", "B")
    assert lower.normalise(_example("Ä", "B")) == _example("ä", "b")


def test_empty_references_are_left_out(cleaner):
    assert cleaner.normalise(_example("a", " ", "b", "")) == _example("a", "b")


@pytest.mark.parametrize(
    ("example", "reasons"),
    [
        (_example("a", "b"), (None, None, None)),
        (_example("a"), ("empty_side",) * 3),
        (_example("", "b"), ("empty_side", "empty_side", None)),
        (_example("a b c d e", "a b c"), ("over_length", "over_length", None)),
        (_example("a b c", "a", "a b c d e"), ("over_length", "over_length", None)),
        (_example("a b c d", "a b"), (None, None, None)),
        (_example("a b c", "a"), ("length_ratio", None, None)),
        (_example("a", "a", "a b c"), ("length_ratio", None, None)),
    ],
)
def test_each_split_is_held_to_its_own_rules(cleaner, example, reasons):
    found = tuple(
        cleaner.reason_to_drop(example, split) for split in ("train", "validation", "test")
    )

    assert found == reasons


def test_a_training_pair_is_a_duplicate_only_with_all_its_references(cleaner):
    examples = [_example("a", "b"), _example("a", "c"), _example("a", "b"), _example("a", "b", "c")]

    found = [cleaner.reason_to_drop(example, "train") for example in examples]

    assert found == [None, None, "duplicate", None]


def test_duplicates_stay_in_validation_and_test(cleaner):
    for split in ("validation", "test"):
        found = [cleaner.reason_to_drop(_example("a", "b"), split) for _ in range(2)]

        assert found == [None, None]


def test_a_training_pair_whose_source_is_held_out_leaks(cleaner, digests):
    digests.hold_out("a", "test")

    assert cleaner.reason_to_drop(_example("a", "other"), "train") == "leaked"
    assert cleaner.reason_to_drop(_example("b", "other"), "train") is None


def test_limits_that_are_not_set_do_not_apply(digests):
    cleaner = Cleaner(CleaningSettings(), digests)

    assert cleaner.reason_to_drop(_example("a", "b " * 500), "train") is None
