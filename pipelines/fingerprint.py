"""The fingerprint of a stage: what its outputs are determined by, in sixteen characters."""

import hashlib
import json
import os
from pathlib import Path

from goa.errors import PipelineError
from pipelines.graph import StageDefinition


def fingerprint(stage: StageDefinition, root: Path = Path()) -> str:
    """Digest a stage's command, its parameters and all it depends on, code included.

    Raises:
        PipelineError: a dependency is missing.
    """
    parts = {
        "cmd": stage.cmd,
        "params": {path: dict(values) for path, values in stage.params.items()},
        "dependencies": {str(path): digest(root / path) for path in stage.dependencies},
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
