"""What benchmarks share: sides that take turns, tables, numbers, and where the texts come from."""

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from goa.data.corpus import open_split
from goa.records import Example

Run = dict[str, float]
"""What one repeat of one side took and gave, by name; "seconds" among it."""
Runs = dict[str, list[Run]]
"""The runs of each side, in order."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of several ways to do the same."""

    work: Callable[[int], Mapping[str, float]]
    """Does it once, by a seed, and says what is to be noted; a "seconds" of its own replaces the
    clock's."""
    prepare: Callable[[], None] = nothing
    """What comes before the clock starts."""


def arguments(doc: str, *, device: bool = False) -> argparse.ArgumentParser:
    """Begin a command line with what all benchmarks take.

    Args:
        doc: of the benchmark; its first line is the description.
        device: whether there is a choice of one.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the numbers, too")
    if device:
        parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser


def take_turns(sides: Mapping[str, Side], repeats: int, device: str = "cpu") -> Runs:
    """Let every side do its work in turn, so many times; a first time is not counted.

    Args:
        sides: by name, in order.
        repeats: that are counted; their seeds are 1, 2, ..., the same for all sides.
        device: whose work is waited for before the clock is read.
    """
    runs: Runs = {name: [] for name in sides}
    for seed in range(repeats + 1):
        for name, side in sides.items():
            side.prepare()
            run = timed(side.work, seed, device)
            if seed > 0:
                runs[name].append(run)
    return runs


def timed(work: Callable[[int], Mapping[str, float]], seed: int, device: str = "cpu") -> Run:
    """Do the work once, and give what it notes with the time that it took."""
    start = clock(device)
    noted = work(seed)
    return {"seconds": clock(device) - start, **noted}


def clock(device: str | torch.device) -> float:
    """Read the clock, in seconds, once the device has done what it was told."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def median(runs: Sequence[Run], name: str, per: str | None = None) -> float:
    """Give the median of one number over runs, or of its ratio to another."""
    return statistics.median(run[name] / (1.0 if per is None else run[per]) for run in runs)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table: the first column to the left, all others to the right."""
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rules, *rows))


def write_json(path: Path | None, given: argparse.Namespace, found: Any) -> None:
    """Write the numbers and what they were measured with, where a file is named."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    told = vars(given)
    text = json.dumps({"arguments": told, "found": found}, indent=2, default=str)
    path.write_text(text + "\n", encoding="utf-8")


def read_examples(data: Sequence[Path], number: int | None = None) -> list[Example]:
    """Read the first examples, or all of them.

    Args:
        data: a prepared folder (its training split); or a file of sources, and one of as many
            references after it where they are needed. Files ending in .gz are unpacked.
        number: how many.
    """
    if data[0].is_dir():
        return list(islice(open_split(data[0], "train"), number))
    sources = read_lines(data[0])[:number]
    references = read_lines(data[1]) if len(data) > 1 else [""] * len(sources)
    return [
        Example(id=str(place), source=source, references=(reference,))
        for place, (source, reference) in enumerate(zip(sources, references, strict=False))
    ]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file, without the spaces around them."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file]
