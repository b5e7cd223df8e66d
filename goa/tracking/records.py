"""What is recorded about stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A policy folder and the code that serves it."""

    policy: Path
    """Folder of a model and its tokenizer."""
    code: Path
    """Python file that calls ``mlflow.models.set_model``."""
    packages: tuple[Path, ...] = ()
    """Folders of Python packages that it imports and pip does not know; they go with the model."""
    signature: Any
    """The ``mlflow.models.ModelSignature`` of its inputs, outputs and parameters."""
    input_example: list[str]
    """Inputs that show what it takes."""
    requirements: tuple[str, ...]
    """Pinned packages it needs, as pip names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Metrics of one step."""

    step: int
    """Update, counted from 0."""
    time: float
    """Unix seconds."""
    values: Mapping[str, float]
    """By metric name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What is recorded about one result of one stage."""

    stage: str
    """Name in dvc.yaml, such as ``finetune@bleu``."""
    key: str
    """Identifies the result: equal inputs, code, parameters and outputs have equal keys."""
    live_key: str | None = None
    """Identifies the run that was shown while the stage was running."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Resolved parameters by dotted name."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Final metrics by name."""
    history: Sequence[Point] = ()
    """Metrics by step; of two points with the same step and name the first counts."""
    artifacts: Sequence[Path] = ()
    """Files and folders to keep with the run."""
    model: ServedModel | None = None
    """The policy it made."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Digest of each data set by its path."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Where it came from."""
    started: float
    """Unix seconds."""
    ended: float
    """Unix seconds."""
