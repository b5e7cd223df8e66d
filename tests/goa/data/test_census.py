"""The data report."""

from goa.data.census import SplitCensus
from goa.records import Example


def _census(*reference_lengths: int) -> SplitCensus:
    census = SplitCensus()
    for number, length in enumerate(reference_lengths):
        example = Example(id=str(number), source="s", references=("w " * length,))
        census.keep(example, new_source=number == 0)
    return census


def test_what_was_read_is_what_was_kept_and_dropped():
    census = _census(1, 1)
    for reason in ("leaked", "leaked", "empty_side"):
        census.drop(reason)

    summary = census.summary()

    assert (summary["read"], summary["kept"]) == (5, 2)
    assert summary["dropped"] == {
        "empty_side": 1,
        "over_length": 0,
        "length_ratio": 0,
        "leaked": 2,
        "duplicate": 0,
    }


def test_lengths_are_described():
    lengths = _census(*range(1, 101)).summary()["reference_words"]

    assert lengths == {"mean": 50.5, "p50": 50, "p95": 95, "max": 100}


def test_repeated_sources_are_counted():
    assert _census(1, 1, 1).summary()["repeated_sources"] == 2


def test_the_report_has_the_whole_distribution():
    report = _census(3, 1, 3).report()

    assert report["histograms"]["reference_words"] == {"1": 1, "3": 2}
    assert report["references_per_source"]["mean"] == 1.0
