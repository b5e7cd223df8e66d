"""What every stage shares: its name, its fingerprint, where it writes and how it fails."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goa.errors import GoaError
from goa.tracking.cost import Work, save_cost
from goa.tracking.meter import Meter
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool
from pipelines.fingerprint import fingerprint_of, made_of
from pipelines.graph import stage_definition
from pipelines.launch import launch_if_told, leave, rank, team_size

PARAMS = Path("params.yaml")
STATE = Path(".goa")
"""Local state: never an input or output of a stage, never in git."""
SHARED_CHECKPOINTS = "GOA_CHECKPOINTS"
"""Environment: a folder for checkpoints that several machines see, so that one of them can go on
where another died."""
COST_SO_FAR = "cost.json"
"""Beside the checkpoints, and like them until the stage has finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One running stage."""

    name: str
    """As in dvc.yaml: ``finetune@bleu``."""
    made_of: Mapping[str, str]
    """Its command, its parameters and the digests of all it depends on, code included, by name."""
    spool: Spool
    """Where it says how it goes."""
    progress: Progress
    """Shows long work."""
    work: dict[str, Work] = field(default_factory=dict)
    """What the stage says of its kinds of work; it goes into the stage's cost."""

    @property
    def fingerprint(self) -> str:
        """Of what it is made of."""
        return fingerprint_of(self.made_of)

    @property
    def checkpoints(self) -> Path:
        """Folder of this stage's checkpoints; other code or parameters have another."""
        folder = Path(os.environ.get(SHARED_CHECKPOINTS) or STATE / "checkpoints")
        return folder / self.name / self.fingerprint

    @contextmanager
    def output(self, path: Path) -> Iterator[Path]:
        """Give a temporary path to write a file or folder to; it becomes ``path`` whole, or not.

        The temporary path lies outside the outputs: a stage that is killed leaves nothing there.
        """
        temporary = STATE / "unfinished" / self.name / path.name
        _remove(temporary)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)
        temporary.rename(path)

    def metrics(self, path: Path, values: Mapping[str, Any]) -> None:
        """Write a metrics file for ``dvc metrics``."""
        with self.output(path) as temporary:
            text = json.dumps(values, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def cost_path(stage: str) -> Path:
    """Say where a stage writes what it cost."""
    return Path("out/costs") / f"{stage}.json"


@contextmanager
def open_stage(name: str) -> Iterator[Stage]:
    """Run the body as a stage of dvc.yaml, from the project's folder.

    What goa raises ends the process with its message and exit code 2. At the end the stage's cost
    is written, where dvc.yaml has it among the outputs; then a mark says that the stage has
    finished with this fingerprint, so that its outputs can be committed even if DVC itself was
    stopped.
    """
    silence_foreign_bars()
    try:
        definition = stage_definition(name)
        parts = made_of(definition)
        key = fingerprint_of(parts)
        if rank() > 0:
            # One process of a team speaks and writes for all; this one keeps its voice down.
            spool = Spool(STATE / "processes" / name / f"{rank()}.jsonl")
            yield Stage(name=name, made_of=parts, spool=spool, progress=Progress(spool, quiet=True))
            leave()
            return
        spool = Spool(STATE / "spool" / name / f"{key}.jsonl")
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            named = os.environ["CUDA_VISIBLE_DEVICES"]
            spool.event("gpus", names=named.split(",") if named else [])
        done = STATE / "done" / name
        _remove(done)
        stage = Stage(name=name, made_of=parts, spool=spool, progress=Progress(spool))
        with Meter(name, stage.checkpoints / COST_SO_FAR, team_size()) as meter:
            yield stage
            if cost_path(name) in definition.outputs:
                with stage.output(cost_path(name)) as path:
                    save_cost(path, meter.cost(stage.work))
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(key, encoding="utf-8")
        # Those of other code or parameters go too, but not where they may be somebody else's.
        shared = bool(os.environ.get(SHARED_CHECKPOINTS))
        _remove(stage.checkpoints if shared else stage.checkpoints.parent)
        leave()
    except GoaError as error:
        _fail(f"{name}: {error}")
    except OSError as error:
        # A full disk, a folder without permission: the machine's matter, not a fault of the code.
        _fail(f"{name}: {error.filename or 'output'}: {error.strerror or error}")


def stage_argument() -> str:
    """Take the one name that a stage's command line has, such as the evaluator's.

    A stage that several processes can share is told how many; it starts the others, and goes on as
    one of them.
    """
    parser = argparse.ArgumentParser(description="A stage, run as in dvc.yaml.")
    parser.add_argument("name", help="such as the evaluator's")
    _add_processes(parser)
    given = parser.parse_args()
    launch_if_told(given.processes)
    return str(given.name)


def no_argument() -> None:
    """Read the command line of a stage that has no name, but may be told how many processes."""
    parser = argparse.ArgumentParser(description="A stage, run as in dvc.yaml.")
    _add_processes(parser)
    launch_if_told(parser.parse_args().processes)


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes", type=int, default=1, help="of a training stage: how many share its work"
    )


def silence_foreign_bars() -> None:
    """Switch off the bars that transformers draws while it reads and writes weights."""
    transformers = sys.modules.get("transformers")
    if transformers is not None:
        transformers.utils.logging.disable_progress_bar()


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(2)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
