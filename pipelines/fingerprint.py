"""The fingerprint of a stage: what its outputs are determined by, in sixteen characters."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goa.errors import PipelineError
from pipelines.stage_graph import StageDefinition


def fingerprint(stage: StageDefinition, root: Path = Path()) -> str:
    """Digest a stage's command, its parameters and all it depends on, code included.

    Raises:
        PipelineError: a dependency is missing.
    """
    return fingerprint_of(made_of(stage, root))


def fingerprint_of(parts: Mapping[str, str]) -> str:
    """Digest what a stage follows from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def made_of(stage: StageDefinition, root: Path = Path()) -> dict[str, str]:
    """List what a stage follows from: its command, each parameter, each file or folder's digest.

    Raises:
        PipelineError: a dependency is missing.
    """
    parts = {"command": stage.cmd}
    for values in stage.params.values():
        parts |= dict(_flat(values))
    for path in stage.dependencies:
        parts[str(path)] = f"sha256:{digest(root / path)}"
    return parts


def _flat(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name every value of nested mappings by its path; a list is one value."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif name:
        yield name, json.dumps(values, sort_keys=True, default=str)


def digest(path: Path) -> str:
    """Digest a file, or the names and contents of a folder's files.

    Raises:
        PipelineError: there is nothing at this path.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        raise PipelineError(f"{path}: missing; run the stage that writes it, or `dvc repro`")
    entries = [
        f"{os.fspath(child.relative_to(path))} {digest(child)}"
        for child in sorted(path.rglob("*"))
        if child.is_file() and "__pycache__" not in child.relative_to(path).parts
    ]
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()
