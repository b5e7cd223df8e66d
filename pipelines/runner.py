"""Run the stages of dvc.yaml side by side, each as soon as what it needs is up to date."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goa.errors import PipelineError
from pipelines.devices import visible_gpus
from pipelines.execution import StageState, Workplace, run_stage
from pipelines.graph import read_graph, stale_stages
from pipelines.locks import only_run
from pipelines.stage_graph import StageGraph

LOST = {StageState.FAILED, StageState.SKIPPED}

Listener = Callable[[str, StageState], None]
"""Told of every change: a stage's name and its new state."""

Execute = Callable[[str, Workplace], Awaitable[StageState]]
"""Brings one stage up to date; see :func:`pipelines.execution.run_stage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended."""

    states: Mapping[str, StageState]
    """Last state of each chosen stage, in the graph's order."""
    failures: tuple[str, ...]
    """One message a failed stage, with the end of its log."""

    @property
    def executed(self) -> bool:
        """Whether any stage was not up to date to begin with."""
        return any(state is not StageState.FRESH for state in self.states.values())


async def run_graph(
    targets: Sequence[str],
    slots: int,
    listener: Listener,
    *,
    root: Path = Path(),
    execute: Execute = run_stage,
    pull: bool = False,
) -> RunOutcome:
    """Bring the targets and all they need up to date; without targets, every stage.

    Only stages that DVC finds stale, and those that depend on them, are executed, at most
    ``slots`` at once. A failed stage holds back only the stages that depend on it. Cancelling
    ends every running stage before this returns. ``pull`` takes from DVC's remote what was run
    elsewhere.

    Raises:
        PipelineError: the graph cannot be read, a target is unknown, or another run works here.
    """
    root = root.resolve()
    with only_run(root) as lock:
        graph = await asyncio.to_thread(read_graph, root)
        chosen = graph.select(targets)
        # In a thread: DVC may have to hash many gigabytes to answer.
        stale = await asyncio.to_thread(stale_stages, root)
        due = graph.downstream(stale)
        place = Workplace(root=root, gpus=visible_gpus(), run_lock=lock, pull=pull)
        run = _Run(graph=graph, place=place, listener=listener, execute=execute)
        return await run.to_the_end(chosen, due, slots)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run over a graph: its stages as tasks that wait for one another."""

    graph: StageGraph
    place: Workplace
    listener: Listener
    execute: Execute
    states: dict[str, StageState] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def to_the_end(self, chosen: Iterable[str], due: set[str], slots: int) -> RunOutcome:
        for name in chosen:
            self._enter(name, StageState.WAITING if name in due else StageState.FRESH)
        free = asyncio.Semaphore(slots)
        async with asyncio.TaskGroup() as group:
            for name in self.states:
                if name in due:
                    self.tasks[name] = group.create_task(self._bring(name, free))
        return RunOutcome(states=self.states, failures=tuple(self.failures))

    async def _bring(self, name: str, free: asyncio.Semaphore) -> None:
        """Wait for what a stage needs and for a free slot, then execute it."""
        parents = self.graph.parents[name] & self.states.keys()
        if waited := [self.tasks[parent] for parent in parents if parent in self.tasks]:
            await asyncio.wait(waited)
        if LOST & {self.states[parent] for parent in parents}:
            self._enter(name, StageState.SKIPPED)
            return
        async with free:
            self._enter(name, StageState.RUNNING)
            try:
                state = await self.execute(name, self.place)
            except (PipelineError, OSError) as error:
                self.failures.append(str(error))
                state = StageState.FAILED
        self._enter(name, state)

    def _enter(self, name: str, state: StageState) -> None:
        self.states[name] = state
        self.listener(name, state)
