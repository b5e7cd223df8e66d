"""Guards that fell while the reward rose: what training says of them, and the report shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from goa.json_file import read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergent:
    """An output before and after a guard began to fall."""

    source: str
    reference: str
    before: str
    after: str
    score_before: float
    """The guard's, of this one output."""
    score_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAlarm:
    """A guard that fell on the validation split while the reward rose."""

    policy: str
    guard: str
    began: int
    """Update of the first look from which on the guard stayed significantly worse."""
    reward_before: float
    """Validation reward at the start."""
    reward_after: float
    """Validation reward at the last look."""
    guard_before: float
    """The guard at the start."""
    guard_after: float
    """The guard at the last look."""
    chosen: int
    """Update of the policy that was kept."""
    examples: tuple[Divergent, ...]
    """Outputs that lost most by the guard."""


_ALARMS = TypeAdapter(tuple[GuardAlarm, ...])


def save_alarms(path: Path, alarms: Sequence[GuardAlarm]) -> None:
    """Write alarms as JSON; an empty list where there are none."""
    write_json(path, _ALARMS, tuple(alarms))


def load_alarms(path: Path) -> tuple[GuardAlarm, ...]:
    """Read alarms back.

    Raises:
        DataError: the file is missing or damaged.
    """
    return read_json(path, _ALARMS, what="a list of alarms", remedy=f"train {path.stem!r}")
