"""The stages of a project as values: what each runs by, and which needs which."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goa.errors import PipelineError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDefinition:
    """One stage of dvc.yaml with everything DVC would run it by."""

    name: str
    """As ``dvc repro`` takes it at the project's root: ``finetune@bleu``, ``raw.csv.dvc``."""
    cmd: str
    """Shell command, one line a step; empty for a file that DVC only tracks."""
    dependencies: tuple[Path, ...]
    """Files and folders it reads, relative to the root where they lie inside; no parameters."""
    params: Mapping[str, Mapping[str, Any]]
    """Parameter file -> key path -> value found there now; keys that are missing are left out."""
    outputs: tuple[Path, ...]
    """Files and folders it writes, metrics and plots among them, relative to the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageGraph:
    """All stages of a project and which needs which."""

    stages: Mapping[str, StageDefinition]
    """By name; every stage stands after the ones it needs."""
    parents: Mapping[str, frozenset[str]]
    """Stage -> stages whose outputs it reads."""

    def select(self, targets: Iterable[str]) -> list[str]:
        """List the targets and all they need, in running order; without targets, every stage.

        A target is a stage, or the name that a group of stages shares: ``finetune`` stands for
        ``finetune@bleu-17`` and its sisters, and ``finetune@bleu`` for those with any seed.

        Raises:
            PipelineError: a target names no stage.
        """
        wanted = {name for target in targets for name in self._matches(target)}
        chosen = self._closure(wanted, self.parents) if wanted else set(self.stages)
        return [name for name in self.stages if name in chosen]

    def downstream(self, names: Iterable[str]) -> set[str]:
        """Give the named stages and all that depend on them."""
        children: dict[str, set[str]] = {name: set() for name in self.stages}
        for name, parents in self.parents.items():
            for parent in parents:
                children[parent].add(name)
        return self._closure(names, children)

    def _matches(self, target: str) -> list[str]:
        found = [
            name
            for name in self.stages
            if target in (name, name.partition("@")[0], name.rpartition("-")[0])
        ]
        if not found:
            groups = {name.partition("@")[0] for name in self.stages}
            near = difflib.get_close_matches(target, sorted(groups | set(self.stages)), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(self.stages)}"
            raise PipelineError(f"dvc.yaml has no stage {target!r}; {hint}")
        return found

    @staticmethod
    def _closure(names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
        reached: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(edges[name])
        return reached
