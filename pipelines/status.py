"""Which stages are up to date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.stage_graph import StageGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """What `goa run` would do about a stage, as far as can be known before it."""

    name: str
    """The stage."""
    state: Literal["up to date", "stale", "follows"]
    """"stale" runs; "follows" runs, unless the stages it needs come out as they were."""
    reasons: tuple[str, ...]
    """Of a stale stage, what changed, as DVC says it; of one that follows, what it waits for."""


def all_statuses(graph: StageGraph, stale: Mapping[str, Sequence[str]]) -> list[StageStatus]:
    """Tell the status of each stage, in running order, from those that are stale by themselves."""
    due = graph.downstream(stale)
    found = []
    for name in graph.stages:
        if name in stale:
            found.append(StageStatus(name=name, state="stale", reasons=tuple(stale[name])))
        elif name in due:
            above = tuple(sorted(graph.parents[name] & due))
            found.append(StageStatus(name=name, state="follows", reasons=above))
        else:
            found.append(StageStatus(name=name, state="up to date", reasons=()))
    return found
