"""What a look at a project finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """What it is."""
    state: State
    """"warn": works, but is not as it should be; "fail": something will not work."""
    detail: str
    """What was found and, if it is not well, what to do."""


def ok(name: str, detail: str) -> Finding:
    """Find a thing as it should be."""
    return Finding(name=name, state="ok", detail=detail)


def warn(name: str, detail: str) -> Finding:
    """Find a thing that works and is not as it should be."""
    return Finding(name=name, state="warn", detail=detail)


def fail(name: str, detail: str) -> Finding:
    """Find a thing that will not work."""
    return Finding(name=name, state="fail", detail=detail)
