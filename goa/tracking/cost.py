"""What a stage cost."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kind of work within a stage, such as decoding by one strategy."""

    seconds: float
    """Wall time, over all tries of the stage."""
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
    """Wall time, over all tries."""
    peak_memory: int
    """Bytes resident at the highest, of the stage's process."""
    peak_gpu_memory: int | None
    """Bytes of GPU memory at the highest; None without a GPU."""
    energy: float | None
    """Joules that the machine's counters ran on by, whatever ran beside; None where none can be
    read."""
    machine: str
    """Processor or GPU, in words, and how many."""
    work: Mapping[str, Work]
    """By name: a decoding strategy, or ``training``."""
