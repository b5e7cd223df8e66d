"""Checkpoints: written whole or not at all, found by checksum, one process at a time."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from goa.errors import CheckpointError, excerpt

KEEP = 2
SHOWN = 24
"""Characters of a value that a difference shows: enough of a digest, and most parameters whole."""
TENSORS, STATE, MADE_OF = "tensors.safetensors", "state.json", "made_of.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped."""

    step: int
    """Rounds done."""
    tensors: Mapping[str, Tensor]
    """Weights and optimiser state by name, on the CPU."""
    state: Mapping[str, Any]
    """Everything else, as JSON values."""


class Checkpoints:
    """The checkpoints of one run in a folder of its own, held under an exclusive lock.

    Use it as a context manager; the kernel frees the lock when the process ends, however it ends.

    Args:
        folder: where they lie.
        made_of: what the run follows from, by name: parameters, and digests of files.
        writes: whether this process is the one that writes; others read, and take no lock.

    Raises:
        CheckpointError: another process holds the folder, or its checkpoints are of a run that
            follows from something else.
    """

    def __init__(
        self, folder: Path, made_of: Mapping[str, str] | None = None, *, writes: bool = True
    ) -> None:
        self.folder = folder
        self.writes = writes
        self.made_of = dict(made_of or {})
        self._lock: IO[str] | None = None
        self._records: dict[Path, dict[str, Any] | None] = {}

    def __enter__(self) -> "Checkpoints":
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.writes:
            return self
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise CheckpointError(
                f"{self.folder}: another process is training from these checkpoints; "
                "wait for it or stop it"
            ) from None
        found = made_of(self.folder)
        if found is None:
            _write_synced(self.folder / MADE_OF, json.dumps(self.made_of))
        elif found != self.made_of:
            self._lock.close()
            raise CheckpointError(
                f"{self.folder}: these checkpoints are of another run: "
                f"{describe_difference(found, self.made_of)}; remove the folder to start afresh"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint under a temporary name, rename it, and drop the oldest.

        Raises:
            CheckpointError: the disk refuses; what was there before is still there.
        """
        temporary = self.folder / "unfinished"
        final = self.folder / f"{step:09d}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(copies, temporary / TENSORS)
            text = json.dumps({"step": step, "state": dict(state)})
            record = {"sha256": _digest(temporary / TENSORS, text), "record": text}
            _write_synced(temporary / STATE, json.dumps(record))
            shutil.rmtree(final, ignore_errors=True)
            self._records.pop(final, None)
            temporary.rename(final)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"{final}: cannot write the checkpoint: {error}; free some space and run again, "
                "training goes on from the checkpoint before"
            ) from None
        for old in self._folders()[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)

    def keep_evidence(self, name: str, tensors: Mapping[str, Tensor]) -> Path:
        """Save tensors of something that went wrong beside the checkpoints; give the file.

        A disk that refuses does not hide what went wrong: then there is no file.
        """
        path = self.folder / f"{name}.safetensors"
        with contextlib.suppress(OSError, SafetensorError):
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path
            )
        return path

    def latest(self) -> Checkpoint | None:
        """Read the newest checkpoint whose checksum holds; None if there is none."""
        for folder in reversed(self._folders()):
            record = self._record(folder)
            if record is not None:
                return Checkpoint(**record, tensors=load_file(folder / TENSORS))
        return None

    def newest_step(self) -> int:
        """Name the step of the newest checkpoint whose checksum holds; 0 if there is none."""
        sound = (folder for folder in reversed(self._folders()) if self._record(folder) is not None)
        return next((int(folder.name) for folder in sound), 0)

    def damaged(self) -> list[Path]:
        """List the checkpoints whose checksum does not hold."""
        return [folder for folder in self._folders() if self._record(folder) is None]

    def _record(self, folder: Path) -> dict[str, Any] | None:
        """Read all of a checkpoint but its tensors, checksums compared once."""
        if folder not in self._records:
            self._records[folder] = _read_record(folder)
        return self._records[folder]

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())


def made_of(folder: Path) -> dict[str, str] | None:
    """Say what the run whose checkpoints lie in a folder follows from; None: that is not known."""
    try:
        found = json.loads((folder / MADE_OF).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def describe_difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say in words what has changed between what two runs follow from."""
    changes = []
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if one == other:
            continue
        if one is None:
            changes.append(f"{name} is new")
        elif other is None:
            changes.append(f"{name} is gone")
        else:
            changes.append(f"{name} was {excerpt(one, SHOWN)}, is {excerpt(other, SHOWN)}")
    return ", ".join(changes)


def _read_record(folder: Path) -> dict[str, Any] | None:
    """Read all of a checkpoint but its tensors; None where it is not as it was written."""
    try:
        kept = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if kept["sha256"] != _digest(folder / TENSORS, kept["record"]):
            return None
        record = json.loads(kept["record"])
        step, state = record["step"], record["state"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not (isinstance(step, int) and isinstance(state, dict)):
        return None
    return {"step": step, "state": state}


def _digest(path: Path, text: str) -> str:
    """Digest a file and a text."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(text.encode())
    return digest.hexdigest()


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
