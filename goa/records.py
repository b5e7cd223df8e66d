"""The values that every room of goa speaks about."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to write a text for, and how people wrote it."""

    id: str
    """Unique within its split; stable over runs."""
    source: str
    """What goes in."""
    references: tuple[str, ...]
    """What people wrote for it; at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A candidate beside the example it was written for: what an evaluator sees."""

    example: Example
    """The source and its references."""
    candidate: str
    """What the policy wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What an evaluator says of N samples."""

    values: tuple[float | None, ...]
    """[N] in [0, 1], higher is better; None where the evaluator does not apply."""
    parts: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Breakdown by part name, each [N] in [0, 1]; None where the part does not apply."""
