"""Bring one stage up to date: ``dvc repro`` under a supervisor, and the rescue of its work.

Every way of running stages side by side (``goa run``, the Prefect flow) ends in
:func:`run_stage`, so all of them leave the same dvc.lock.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from goa.errors import PipelineError
from pipelines.damage import describe_damage
from pipelines.devices import Lease, lease
from pipelines.fingerprint import fingerprint
from pipelines.graph import stage_definition
from pipelines.launch import num_processes
from pipelines.processes import last_lines, run_python
from pipelines.stage_graph import StageDefinition

ADVICE = {
    rb"exited with (-9|137)\b": "it was killed, by somebody or because memory ran out (`dmesg` "
    "knows); lower what it holds at a time (optimiser.tokens_per_pass, compute.tokens_at_once) or "
    "run.slots, and run it again to go on",
    rb"No space left on device": "the disk is full; free some space and run it again to go on",
}
"""By what the log of a failed stage says, what may be behind it and what to do."""


class StageState(StrEnum):
    """Where a stage stands in a run."""

    FRESH = "up to date"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    """Nothing to run after all: unchanged, or restored from DVC's cache."""
    RESCUED = "rescued"
    """Its work was finished earlier and only had to be committed."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Needs a stage that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where and with what a run executes its stages."""

    root: Path
    """The project's folder, absolute."""
    gpus: tuple[str, ...] = ()
    """Names for CUDA_VISIBLE_DEVICES, one process each; empty on a machine without."""
    run_lock: int | None = None
    """Descriptor of the run's lock; supervisors keep it until their stage is really gone."""
    pull: bool = False
    """Whether DVC takes from its remote what was run elsewhere, instead of running it again."""


class StageError(PipelineError):
    """A stage did not come to its end; the message ends with the last lines of its log."""


class NotBegunError(StageError):
    """DVC gave up before the stage's command began: a lock was held, say, or its remote away."""


async def run_stage(name: str, place: Workplace) -> StageState:
    """Run one stage if DVC finds it stale; what it needs must be up to date.

    A stage whose command had finished but whose result DVC could not take over is committed, not
    run again. Cancelling ends the stage's whole process group before this returns.

    Raises:
        NotBegunError: DVC failed before the stage's command began; it may pass by itself.
        StageError: the stage failed.
    """
    log = log_path(name, place.root)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    if await _rescued(name, place, untouched=True):
        return StageState.RESCUED
    marker = done_path(name, place.root)
    marker.unlink(missing_ok=True)
    stage = await asyncio.to_thread(stage_definition, name, place.root)
    async with lease(place.gpus, num_processes(stage.cmd)) as held:
        code = await _dvc(_repro(name, place), place, held)
    if code == 0:
        marker.unlink(missing_ok=True)
        if not _was_skipped(name, log):
            return StageState.DONE
        restored = _says(log, f"Stage '{name}' is cached")
        if restored and (damage := await asyncio.to_thread(describe_damage, name, place.root)):
            raise StageError(f"{name}: {damage}")
        return StageState.CACHED
    # The marker was not there before: this very attempt finished the command.
    if await _rescued(name, place, untouched=False):
        return StageState.RESCUED
    tail = last_lines(log)
    error = StageError if _began(name, log) else NotBegunError
    raise error(f"{name}: failed with exit code {code}{_advice(log)}; the end of {log}:\n{tail}")


def log_path(name: str, root: Path) -> Path:
    """Say where the output of a stage goes."""
    return root / ".goa" / "logs" / f"{name}.log"


def done_path(name: str, root: Path) -> Path:
    """Say where a stage leaves its fingerprint as its last act."""
    return root / ".goa" / "done" / name


def _repro(name: str, place: Workplace) -> list[str]:
    return ["repro", "--single-item", *(["--pull"] if place.pull else []), name]


async def _rescued(name: str, place: Workplace, *, untouched: bool) -> bool:
    """Commit what a finished command left; tell whether there was such and DVC took it."""
    if not await asyncio.to_thread(_is_finished, name, place.root, untouched=untouched):
        return False
    if await _dvc(["commit", "--force", name], place, None) != 0:
        return False
    done_path(name, place.root).unlink(missing_ok=True)
    return True


async def _dvc(arguments: Sequence[str], place: Workplace, held: Lease | None) -> int:
    """Run DVC under a supervisor, its output added to the stage's log; give the exit code."""
    kept = [] if place.run_lock is None else [place.run_lock]
    if held is not None:
        kept += held.descriptors
    return await run_python(
        ["-m", "dvc", "--wait-for-lock", *arguments],
        log_path(arguments[-1], place.root),
        root=place.root,
        environment=held.environment if held else None,
        descriptors=kept,
    )


def _was_skipped(name: str, log: Path) -> bool:
    """Tell whether DVC found nothing to run, from its own words."""
    return _says(log, f"Stage '{name}' didn't change", f"Stage '{name}' is cached")


def _began(name: str, log: Path) -> bool:
    """Tell whether DVC started the stage's command, from its own words."""
    return _says(log, f"Running stage '{name}'")


def _advice(log: Path) -> str:
    """Say what to do about what the log tells of, if we know it."""
    said = log.read_bytes()
    return "".join(f": {advice}" for sign, advice in ADVICE.items() if re.search(sign, said))


def _says(log: Path, *beginnings: str) -> bool:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return any(line.startswith(beginnings) for line in lines)


def _is_finished(name: str, root: Path, *, untouched: bool) -> bool:
    """Tell whether the outputs on disk are what the stage, as it is now, wrote to its end.

    ``untouched`` demands also that no output changed after the stage said so: between two runs
    ``dvc checkout`` may have put another version there.
    """
    marker = done_path(name, root)
    if not marker.is_file():
        return False
    stage = stage_definition(name, root)
    if not all((root / path).exists() for path in stage.outputs):
        return False
    if untouched and _last_change(stage, root) > marker.stat().st_mtime_ns:
        return False
    return marker.read_text(encoding="utf-8").strip() == fingerprint(stage, root)


def _last_change(stage: StageDefinition, root: Path) -> int:
    """Give the latest inode change under the outputs; unlike modification, links show in it."""
    return max(
        (path.lstat().st_ctime_ns for output in stage.outputs for path in _walk(root / output)),
        default=0,
    )


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from path.rglob("*")
