"""What pretraining and fine-tuning share as stages."""

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from goa.checkpoints import Checkpoints, describe_difference, made_of
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.tracking.cost import Work
from goa.tracking.progress import Task
from goa.trainer.contract import TrainingState
from goa.trainer.loop import Trainer, load, to_the_first
from pipelines.origin import Origin
from pipelines.policy_card import write_card
from pipelines.stage import Stage


class _Watcher:
    """Passes what the trainer says on to the stage's progress bar and spool."""

    def __init__(self, stage: Stage, task: Task, done: int, *, speaks: bool) -> None:
        self._speaks = speaks
        self._task = task
        self._spool = stage.spool
        self._request = stage.request
        self._done = done

    def advance(self, done: int, note: str) -> None:
        self._task.advance(done - self._done, note)
        self._done = done

    def say(self, text: str) -> None:
        if self._speaks:
            sys.stderr.write(f"{text}\n")

    def is_asked_to_stop(self) -> bool:
        return self._request.is_there

    def stop(self, update: int) -> NoReturn:
        self.say(f"the checkpoint of update {update} is written")
        raise self._request.stopped()

    def record(self, update: int, values: Mapping[str, float]) -> None:
        self._spool.metrics(
            update, {name: value for name, value in values.items() if name != "update"}
        )


def train(stage: Stage, trainer: Trainer, num_rounds: int) -> TrainingState:
    """Train under the stage's checkpoints, on from the newest one, with progress shown.

    Raises:
        GoaError: training cannot go on, or another process trains from these checkpoints.
    """
    first = trainer.team.is_first
    with Checkpoints(stage.checkpoints, stage.made_of, writes=first) as checkpoints:
        done = checkpoints.newest_step()
        with stage.progress.task(stage.name, num_rounds, "updates", done) as task:
            watcher = _Watcher(stage, task, done, speaks=first)
            for damaged in checkpoints.damaged() if first else ():
                watcher.say(f"{damaged}: this checkpoint is damaged, and passed over")
            if done:
                watcher.say(f"going on from the checkpoint of update {done}")
            elif difference := _difference_from_before(stage):
                watcher.say(f"starting afresh, since the last try was another: {difference}")
            with stage.request.deferred():
                state = trainer.run(checkpoints, watcher)
    stage.work["training"] = Work(seconds=state.seconds, sentences=state.texts, tokens=state.tokens)
    return state


def _difference_from_before(stage: Stage) -> str | None:
    """Say what has changed since the last try whose checkpoints are still there."""
    others = [path for path in stage.checkpoints.parent.iterdir() if path != stage.checkpoints]
    for folder in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True):
        before = made_of(folder)
        if before is not None and any(path.name.isdigit() for path in folder.iterdir()):
            return describe_difference(before, stage.made_of)
    return None


def trained_policy(trainer: Trainer, make: Callable[[], Policy]) -> Policy:
    """Give what was trained; where it is sharded, the first process has it whole, made anew.

    Args:
        trainer: at its end.
        make: makes the policy that training began with.
    """
    if trainer.policy.shards is None:
        return trainer.policy
    weights = to_the_first(trainer.parameters, trainer.team)
    if not trainer.team.is_first:
        return trainer.policy
    policy = make()
    load(policy.trained(), weights)
    return policy


def save_training(stage: Stage, policy: Policy, state: TrainingState, origin: Origin) -> None:
    """Write a policy with its card, and its history, as the outputs of a training stage."""
    with stage.output(Path("out/policies") / origin.name) as folder:
        save_policy(policy, folder)
        write_card(folder, policy, origin)
    with stage.output(Path("out/history") / f"{origin.name}.csv") as path:
        write_history(path, state.rows)


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write one row a look, ``update`` first; a cell is empty where nothing was measured."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
