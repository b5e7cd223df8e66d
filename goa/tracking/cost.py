"""What a stage cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from goa.json_file import read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kind of work within a stage, such as decoding by one strategy."""

    seconds: float
    """Wall time of this work alone; what a killed try did in vain is in the stage's time only."""
    sentences: int
    """Texts written or learnt from; candidates count each."""
    tokens: int
    """Tokens of those texts, end tokens included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a stage cost when its outputs were made, on whatever machine that was."""

    stage: str
    """As in dvc.yaml: ``finetune@bleu-17``."""
    seconds: float
    """Wall time, over all tries, whether they came to their end or not."""
    peak_memory: int
    """Bytes resident at the highest: of the stage's process, or the first of a team, and of those
    it scores in."""
    peak_gpu_memory: int | None
    """Bytes of GPU memory at the highest, of the same process; None without a GPU."""
    energy: float | None
    """Joules that the machine's counters ran on by, whatever ran beside; None where none can be
    read."""
    machine: str
    """Processor or GPU, in words, and how many."""
    work: Mapping[str, Work]
    """By name: a decoding strategy, or ``training``, ``generation``, ``scoring``."""


_COST = TypeAdapter(Cost)


def save_cost(path: Path, cost: Cost) -> None:
    """Write a cost as JSON."""
    write_json(path, _COST, cost)


def load_cost(path: Path) -> Cost:
    """Read a cost back.

    Raises:
        DataError: the file is missing or is no cost.
    """
    return read_json(path, _COST, what="a cost", remedy=f"run the stage {path.stem}")
