"""Rounds in, a better policy out."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.rollouts.rollout import Rounds
from goa.trainer.optimiser import Optimiser, head_parameters
from goa.trainer.settings import OptimiserSettings, ValidationSettings
from goa.trainer.update import Updater

WEIGHTS, BEST = "weights.", "best."


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One look at the validation split."""

    score: float
    """What the best policy is chosen by; higher is better."""
    values: Mapping[str, float]
    """What to record, by name."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def advance(self, done: int, note: str) -> None:
        """Hear that so many updates are done, and a few words on how it goes."""

    def record(self, update: int, values: Mapping[str, float]) -> None:
        """Hear numbers to keep."""


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Where a run stands: all of it goes into a checkpoint."""

    update: int = 0
    """Updates done."""
    best_score: float = -math.inf
    """The best validation score so far."""
    best_update: int = 0
    """When it was reached."""
    looks_since_best: int = 0
    """Looks at the validation split since then."""
    divergence_weight: float | None = None
    """What the divergence costs now, where it is steered; None before the first update."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """What was recorded, one mapping a look, ``update`` first."""


class Trainer:
    """Trains a policy on rounds; one round is one update."""

    def __init__(self, updater: Updater, settings: OptimiserSettings) -> None:
        self.updater = updater
        self.settings = settings
        self.policy = updater.policy
        self.parameters = {
            name: weight
            for name, weight in self.policy.model.named_parameters()
            if weight.requires_grad
        }
        self.head_parameters = head_parameters(updater.heads)

    def run(
        self,
        rounds: Rounds,
        validate: Callable[[], Validation],
        validation: ValidationSettings,
        checkpoints: Checkpoints,
        watcher: Watcher,
    ) -> TrainingState:
        """Train from the newest checkpoint, or from the start; end with the best policy.

        Raises:
            TrainingError: the loss or a gradient is not finite.
        """
        optimiser = Optimiser(self.parameters, self.settings, len(rounds), self.updater.heads)
        state, best = self._resume(checkpoints, optimiser)
        if state.update == 0:
            best = self._look(state, best, {}, validate)
            watcher.record(0, state.rows[-1])
        means = _Means()
        while state.update < len(rounds) and not _patience_is_over(state, validation):
            rollout = rounds[state.update]
            means.add(self.updater.update(rollout, optimiser, state.update))
            means.add({name: (value, 1.0) for name, value in rollout.diagnostics.items()})
            state.update += 1
            watcher.advance(state.update, means.note())
            if state.update % validation.every == 0 or state.update == len(rounds):
                best = self._look(state, best, means.take(), validate)
                watcher.record(state.update, state.rows[-1])
                self._save(checkpoints, state, best, optimiser)
        _load(self.parameters, best)
        self.policy.model.eval()
        return state

    def _look(
        self,
        state: TrainingState,
        best: dict[str, Tensor],
        means: Mapping[str, float],
        validate: Callable[[], Validation],
    ) -> dict[str, Tensor]:
        """Validate, note it, and return the best weights so far."""
        self.policy.model.eval()
        seen = validate()
        state.rows.append({"update": state.update, **means, **seen.values})
        if seen.score <= state.best_score:
            state.looks_since_best += 1
            return best
        state.best_score, state.best_update = seen.score, state.update
        state.looks_since_best = 0
        return {name: tensor.detach().clone() for name, tensor in self.parameters.items()}

    def _save(
        self,
        checkpoints: Checkpoints,
        state: TrainingState,
        best: Mapping[str, Tensor],
        optimiser: Optimiser,
    ) -> None:
        weights = self.parameters | self.head_parameters
        tensors = {WEIGHTS + name: tensor for name, tensor in weights.items()}
        tensors |= {BEST + name: tensor for name, tensor in best.items()}
        if self.updater.anchor is not None:
            state.divergence_weight = self.updater.anchor.weight
        values = {name: getattr(state, name) for name in TrainingState.__slots__}
        checkpoints.save(state.update, tensors | optimiser.tensors(), values)

    def _resume(
        self, checkpoints: Checkpoints, optimiser: Optimiser
    ) -> tuple[TrainingState, dict[str, Tensor]]:
        checkpoint = checkpoints.latest()
        if checkpoint is None:
            return TrainingState(), {}
        named = checkpoint.tensors
        weights = self.parameters | self.head_parameters
        _load(weights, {name: named[WEIGHTS + name] for name in weights})
        optimiser.restore(named)
        best = {name: named[BEST + name].to(self.policy.device) for name in self.parameters}
        state = TrainingState(**checkpoint.state)
        if self.updater.anchor is not None and state.divergence_weight is not None:
            self.updater.anchor.weight = state.divergence_weight
        return state, best


class _Means:
    """Averages diagnostics between two looks."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[float, float]] = {}

    def add(self, values: Mapping[str, tuple[float, float]]) -> None:
        for name, (value, weight) in values.items():
            total = self._totals.get(name, (0.0, 0.0))
            self._totals[name] = (total[0] + value, total[1] + weight)

    def note(self) -> str:
        """Say the reward, or else the loss, in a few words."""
        name = "reward" if "reward" in self._totals else "loss"
        value, weight = self._totals[name]
        return f"{name} {value / weight:.3f}"

    def take(self) -> dict[str, float]:
        means = {name: value / weight for name, (value, weight) in self._totals.items() if weight}
        self._totals.clear()
        return means


def _load(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def _patience_is_over(state: TrainingState, validation: ValidationSettings) -> bool:
    return validation.patience is not None and state.looks_since_best >= validation.patience
