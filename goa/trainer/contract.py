"""What the trainer is given, and what it keeps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from torch import Tensor

from goa.objectives.head import Head
from goa.trainer.collapse import CollapseSettings
from goa.trainer.diagnostics import Lesson, Totals
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings, ValidationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One look at the validation split."""

    score: float
    """What the best policy is chosen by; higher is better."""
    values: Mapping[str, float]
    """What to record, by name."""
    outputs: tuple[str, ...] = ()
    """What was written for all sources of the look, where anything was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What guards say of one look."""

    values: Mapping[str, float]
    """What to record, by name."""
    worse: Mapping[str, str]
    """How far each guard that is significantly worse than at the start has fallen, in words."""


class Guarding(Protocol):
    """Guards of a run: metrics that must not become worse than at its start."""

    def look(self, outputs: Sequence[str], first: Sequence[str]) -> Guarded:
        """Measure the outputs of a look, and hold them against those of the first one."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def advance(self, done: int, note: str) -> None:
        """Hear that so many updates are done, and a few words on how it goes."""

    def record(self, update: int, values: Mapping[str, float]) -> None:
        """Hear numbers to keep."""

    def say(self, text: str) -> None:
        """Hear something that whoever looks at the run should know."""

    def is_asked_to_stop(self) -> bool:
        """Say whether this process should stop at the next good place."""

    def stop(self, update: int) -> NoReturn:
        """Stop, now that the checkpoint of an update is written."""


class Learner(Protocol):
    """Moves a policy, round by round."""

    heads: Sequence[Head]
    """What is trained beside the policy."""

    def __len__(self) -> int:
        """Count the rounds."""

    def learn(self, index: int, optimiser: Optimiser) -> Lesson:
        """Do one round; say what it came to.

        Equal index and weights move the policy alike; indices only go up.

        Raises:
            NotFiniteError: the loss or a gradient is not finite.
        """


class SideLearner(Protocol):
    """Learns beside the policy by itself, such as an evaluator that has weights."""

    name: str
    """Unique within a phase."""

    def state(self) -> dict[str, Tensor]:
        """Give its weights by name."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take weights back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A span of training with one way to learn and one way to look."""

    learner: Learner
    """Does the rounds."""
    validate: Callable[[], Validation]
    """Looks at the policy as it is."""
    optimiser: OptimiserSettings
    """How steps are taken."""
    validation: ValidationSettings
    """When to look, and when to stop."""
    collapse: CollapseSettings | None = None
    """What counts as a collapse; None: nothing does."""
    learners: Sequence[SideLearner] = ()
    """What learns along with the policy; part of a checkpoint."""
    carries_optimiser: bool = True
    """Whether the optimiser starts with the moments that the phase before left it with."""


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Where a run stands: all of it goes into a checkpoint."""

    update: int = 0
    """Updates done, over all phases."""
    phase: int = 0
    """The phase under way, from 0."""
    phase_start: int = 0
    """Updates that were done when it began."""
    best_score: float = -math.inf
    """The best validation score of this phase so far."""
    best_update: int = 0
    """When it was reached."""
    looks_since_best: int = 0
    """Looks at the validation split since then."""
    restorations: int = 0
    """How often the policy collapsed in this phase, and the best one was taken back."""
    first_entropy: float | None = None
    """Entropy at this phase's first look after its start, in nats per token."""
    divergence_weight: float | None = None
    """What the divergence costs now, where it is steered; None before the first update."""
    texts: int = 0
    """Candidates and references learnt from."""
    tokens: int = 0
    """Theirs, end tokens included."""
    seconds: float = field(default=0.0, compare=False)
    """Wall time of the rounds, without looks at the validation split; measured, so equal runs
    differ in it."""
    worse_since: dict[str, int] = field(default_factory=dict)
    """Guards that are significantly worse than at the start, each with the update of the look from
    which on it has been so."""
    first_outputs: list[str] = field(default_factory=list)
    """What was written at the first look of all, where there are guards."""
    last_outputs: list[str] = field(default_factory=list)
    """What was written at the last one."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """What was recorded, one mapping a look, ``update`` first."""
    since_look: Totals = field(default_factory=dict)
    """Diagnostics of the updates since the last look."""

    @property
    def is_under_way(self) -> bool:
        """Whether this phase has had its first look."""
        return self.best_score > -math.inf

    def begin_next_phase(self) -> None:
        """Forget what is of one phase alone."""
        self.phase, self.phase_start = self.phase + 1, self.update
        self.best_score, self.best_update = -math.inf, self.update
        self.looks_since_best, self.restorations, self.first_entropy = 0, 0, None
