"""Siblings: the candidates that the samples of one call give for the same source."""

from collections.abc import Sequence

from goa.records import Example, Sample


def siblings(samples: Sequence[Sample]) -> list[list[int]]:
    """Give the rows of the samples with equal examples together, sources as they first come."""
    rows: dict[Example, list[int]] = {}
    for row, sample in enumerate(samples):
        rows.setdefault(sample.example, []).append(row)
    return list(rows.values())
