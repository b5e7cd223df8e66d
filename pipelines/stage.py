"""What every stage shares: its name, its fingerprint, where it writes and how it fails."""

import argparse
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goa.errors import GoaError, first_line, is_lack_of_memory
from goa.tracking.cost import Work, save_cost
from goa.tracking.meter import Meter
from goa.tracking.progress import Progress
from goa.tracking.spool import Spool
from pipelines.fingerprint import fingerprint_of, made_of
from pipelines.graph import stage_definition
from pipelines.launch import launch_if_told, leave, rank, team_size
from pipelines.stage_graph import StageDefinition
from pipelines.stopping import Stopped, StopRequest

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
    request: StopRequest = field(default_factory=StopRequest)
    """Whether it was asked to stop."""

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
        try:
            yield temporary
        except BaseException:
            with suppress(OSError):
                _remove(temporary)  # the disk may be full because of it
            raise
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

    What goa raises ends the process with its message and exit code 2, Ctrl-C with 130 and TERM with
    143. At the end the stage's cost is written, where dvc.yaml has it among the outputs; then a
    mark says that the stage has finished with this fingerprint, so that its outputs can be
    committed even if DVC itself was stopped.
    """
    silence_foreign_bars()
    try:
        with StopRequest() as request:
            definition = stage_definition(name)
            # One process of a team speaks and writes for all; the others keep their voices down.
            run = _run_alone if rank() == 0 else _run_beside
            with run(name, definition, request) as stage:
                yield stage
        leave()
    except Stopped as stopped:
        if rank() == 0:
            sys.stderr.write(f"{name}: stopped; run it again to go on\n")
        leave(stopped.exit_code)
        raise SystemExit(stopped.exit_code) from None
    except GoaError as error:
        _fail(f"{name}: {error}")
    except OSError as error:
        # A full disk, a folder without permission: the machine's matter, not a fault of the code.
        advice = "; free some space and run it again" if error.errno == errno.ENOSPC else ""
        _fail(f"{name}: {error.filename or 'output'}: {error.strerror or error}{advice}")
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        _fail(
            f"{name}: not enough memory: {first_line(error)}\nLower what it holds at a time (of "
            "training optimiser.tokens_per_pass, of writing compute.tokens_at_once) or the model; "
            "run it again to go on"
        )


@contextmanager
def _run_beside(name: str, definition: StageDefinition, request: StopRequest) -> Iterator[Stage]:
    spool = Spool(STATE / "processes" / name / f"{rank()}.jsonl")
    progress = Progress(spool, quiet=True)
    yield Stage(
        name=name, made_of=made_of(definition), spool=spool, progress=progress, request=request
    )


@contextmanager
def _run_alone(name: str, definition: StageDefinition, request: StopRequest) -> Iterator[Stage]:
    parts = made_of(definition)
    key = fingerprint_of(parts)
    spool = Spool(STATE / "spool" / name / f"{key}.jsonl")
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        named = os.environ["CUDA_VISIBLE_DEVICES"]
        spool.event("gpus", names=named.split(",") if named else [])
    done = STATE / "done" / name
    _remove(done)
    stage = Stage(name=name, made_of=parts, spool=spool, progress=Progress(spool), request=request)
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
    leave(2)
    raise SystemExit(2)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
