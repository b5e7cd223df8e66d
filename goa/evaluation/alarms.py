"""Guards that fell while the reward rose: what training says of them, and the report shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from goa.errors import DataError


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
    path.write_bytes(_ALARMS.dump_json(tuple(alarms), indent=2) + b"\n")


def load_alarms(path: Path) -> tuple[GuardAlarm, ...]:
    """Read alarms back.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return _ALARMS.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; train {path.stem!r} first") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path}: no list of alarms: {place}: {problem['msg']}; train {path.stem!r} again"
        ) from None
