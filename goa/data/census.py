"""The data report: what was read, kept and dropped, and how long texts are."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from goa.data.cleaning import REASONS
from goa.data.settings import SPLITS
from goa.data.words import num_words
from goa.records import Example


class SplitCensus:
    """Counts one split while it streams by; memory grows only with the different lengths."""

    def __init__(self) -> None:
        self.num_kept = 0
        self.num_repeated_sources = 0
        self._dropped: Counter[str] = Counter()
        self._source_words: Counter[int] = Counter()
        self._reference_words: Counter[int] = Counter()
        self._references: Counter[int] = Counter()

    def drop(self, reason: str) -> None:
        """Count an example that was dropped."""
        self._dropped[reason] += 1

    def keep(self, example: Example, *, new_source: bool) -> None:
        """Count an example that was kept, and whether its source came for the first time."""
        self.num_kept += 1
        self.num_repeated_sources += not new_source
        self._source_words[num_words(example.source)] += 1
        self._reference_words.update(num_words(text) for text in example.references)
        self._references[len(example.references)] += 1

    @property
    def num_read(self) -> int:
        """How many examples came by."""
        return self.num_kept + self._dropped.total()

    def dropped(self) -> dict[str, int]:
        """Count the dropped examples by every reason there is."""
        return {reason: self._dropped[reason] for reason in REASONS}

    def summary(self) -> dict[str, Any]:
        """Give the numbers worth comparing between runs."""
        return {
            "read": self.num_read,
            "kept": self.num_kept,
            "dropped": self.dropped(),
            "repeated_sources": self.num_repeated_sources,
            "source_words": _describe(self._source_words),
            "reference_words": _describe(self._reference_words),
            "references_per_source": _describe(self._references),
        }

    def report(self) -> dict[str, Any]:
        """Give the summary and the whole distributions, as counts by length."""
        return self.summary() | {
            "histograms": {
                "source_words": _histogram(self._source_words),
                "reference_words": _histogram(self._reference_words),
                "references_per_source": _histogram(self._references),
            }
        }


class Census:
    """Counts all splits."""

    def __init__(self) -> None:
        self.splits = {name: SplitCensus() for name in SPLITS}
        self.num_found_in_train = {"validation": 0, "test": 0}
        """Held-out examples whose source was met in the training data before cleaning."""

    def summary(self) -> dict[str, Any]:
        """Give the numbers worth comparing between runs."""
        found = {"found_in_train": self.num_found_in_train}
        return {name: split.summary() for name, split in self.splits.items()} | found

    def report(self) -> dict[str, Any]:
        """Give the summary and the whole distributions."""
        found = {"found_in_train": self.num_found_in_train}
        return {name: split.report() for name, split in self.splits.items()} | found


def _describe(counts: Mapping[int, int]) -> dict[str, float]:
    """Describe a distribution given as counts by value: mean, median, 95th percentile, maximum."""
    total = sum(counts.values())
    mean = sum(value * count for value, count in counts.items()) / total
    return {
        "mean": round(mean, 3),
        "p50": _percentile(counts, 0.5),
        "p95": _percentile(counts, 0.95),
        "max": max(counts),
    }


def _percentile(counts: Mapping[int, int], share: float) -> int:
    """Find the smallest value that at least this share of all values does not exceed."""
    values = sorted(counts)
    below = list(accumulate(counts[value] for value in values))
    return values[bisect_left(below, share * below[-1])]


def _histogram(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(value): counts[value] for value in sorted(counts)}
