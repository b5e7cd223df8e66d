"""Phases in, a better policy out."""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.errors import TrainingError
from goa.policies.policy import Policy
from goa.policies.sharding import gathered, is_sharded, own_part, spread_like
from goa.trainer.anchor import Anchor
from goa.trainer.contract import Guarding, Phase, TrainingState, Watcher
from goa.trainer.diagnostics import Means
from goa.trainer.looks import Looks
from goa.trainer.optimiser import Optimiser, head_parameters
from goa.trainer.team import Team
from goa.trainer.update import NotFiniteError

WEIGHTS, BEST, EVALUATOR = "weights.", "best.", "evaluator."


class Trainer:
    """Trains a policy through phases; each ends with its best policy, where the next begins."""

    def __init__(
        self,
        policy: Policy,
        phases: Sequence[Callable[[], Phase]],
        anchor: Anchor | None = None,
        team: Team | None = None,
        guards: Guarding | None = None,
    ) -> None:
        """Set the trainer up.

        Args:
            policy: trained in place.
            phases: each is made when it begins.
            anchor: whose steered weight is part of the state, where there is one.
            team: the other processes that train the same policy; only the first one writes.
            guards: what must not become worse than at the start of the first phase.
        """
        self.policy = policy
        self.phases = phases
        self.anchor = anchor
        self.team = team or Team()
        self.guards = guards
        self.parameters = policy.trained()

    def run(self, checkpoints: Checkpoints, watcher: Watcher) -> TrainingState:
        """Train from the newest checkpoint, or from the start; end with the best policy.

        Raises:
            TrainingError: the loss, a gradient or a weight is not finite; the batch is saved.
        """
        checkpoint = checkpoints.latest()
        self.team.wait()  # the first process may drop what the others still read
        state = TrainingState() if checkpoint is None else TrainingState(**checkpoint.state)
        if self.anchor is not None and state.divergence_weight is not None:
            self.anchor.weight = state.divergence_weight
        kept: Mapping[str, Tensor] = {} if checkpoint is None else checkpoint.tensors
        while True:
            with self.policy.whole():
                phase = self.phases[state.phase]()
            course = _Course(self, phase, state, kept)
            course.run(checkpoints, watcher)
            if state.phase + 1 == len(self.phases):
                return state
            kept = course.optimiser.tensors()
            state.begin_next_phase()


class _Course:
    """One phase under way."""

    def __init__(
        self, trainer: Trainer, phase: Phase, state: TrainingState, kept: Mapping[str, Tensor]
    ) -> None:
        """Begin a phase, or go on with it.

        Args:
            trainer: whose policy it is.
            phase: what to do.
            state: where the run stands; changed as it goes.
            kept: a checkpoint's tensors, or the optimiser's of the phase before.
        """
        self.trainer = trainer
        self.phase = phase
        self.state = state
        self.policy = trainer.policy
        self.weights = trainer.parameters | head_parameters(phase.learner.heads)
        self.optimiser = Optimiser(
            trainer.parameters, phase.optimiser, len(phase.learner), phase.learner.heads
        )
        self.best: dict[str, Tensor] = {}
        self.means = Means(state.since_look)
        self.looks = Looks(phase, state, trainer.policy, trainer.guards)
        if state.is_under_way:
            load(self.weights, {name: kept[WEIGHTS + name] for name in self.weights})
            self.best = {
                name: spread_like(weight, kept[BEST + name]).to(weight.device)
                for name, weight in trainer.parameters.items()
            }
            self.optimiser.restore(kept)
            self.optimiser.slow_down(state.restorations)
            for learner in phase.learners:
                prefix = f"{EVALUATOR}{learner.name}/"
                learner.restore(
                    {
                        name.removeprefix(prefix): tensor
                        for name, tensor in kept.items()
                        if name.startswith(prefix)
                    }
                )
        elif phase.carries_optimiser:
            self.optimiser.restore(kept)

    def run(self, checkpoints: Checkpoints, watcher: Watcher) -> None:
        """Go through the rounds that are left; end with the best policy."""
        state, every, start = self.state, self.phase.validation.every, self.state.phase_start
        end = start + len(self.phase.learner)
        if not state.is_under_way:
            self._look(watcher)
            watcher.record(state.update, state.rows[-1])
        while state.update < end and not self._is_over():
            self._learn(checkpoints)
            state.update += 1
            watcher.advance(state.update, self.means.note())
            if (state.update - start) % every == 0 or state.update == end:
                self._look(watcher)
                self._watch_for_collapse(watcher)
                watcher.record(state.update, state.rows[-1])
                self._save(checkpoints)
            self._stop_if_asked(checkpoints, watcher)
        load(self.trainer.parameters, self.best)
        self.policy.model.eval()

    def _stop_if_asked(self, checkpoints: Checkpoints, watcher: Watcher) -> None:
        """Stop after this update, with its checkpoint, where any process of the team is to."""
        if self.trainer.team.totals([float(watcher.is_asked_to_stop())])[0]:
            if self.state.since_look:
                self._save(checkpoints)
            watcher.stop(self.state.update)

    def _is_over(self) -> bool:
        """Say whether more looks without a better one are pointless."""
        patience, collapse = self.phase.validation.patience, self.phase.collapse
        if collapse is not None and self.state.restorations > collapse.restorations:
            return True
        return patience is not None and self.state.looks_since_best >= patience

    def _learn(self, checkpoints: Checkpoints) -> None:
        index, started = self.state.update - self.state.phase_start, time.monotonic()
        try:
            lesson = self.phase.learner.learn(index, self.optimiser)
        except NotFiniteError as error:
            name = f"update-{self.state.update + 1}"
            if not self.trainer.team.is_first:
                name = f"{name}-process-{self.trainer.team.rank + 1}"
            path = checkpoints.keep_evidence(name, error.batch)
            raise TrainingError(
                f"update {self.state.update + 1}: {error}; lower the learning rate, or look at the "
                f"evaluator's rewards; the batch is in {path}"
            ) from None
        self.means.add(lesson.totals)
        self.state.texts += lesson.counts.texts
        self.state.tokens += lesson.counts.tokens
        self.state.seconds += time.monotonic() - started

    def _look(self, watcher: Watcher) -> None:
        """Look at the validation split, and keep the weights if they are the best so far."""
        if self.looks.look(self.means.take(), watcher):
            self.best = {
                name: weight.detach().clone() for name, weight in self.trainer.parameters.items()
            }

    def _watch_for_collapse(self, watcher: Watcher) -> None:
        """Take the best policy back where this one has collapsed, and go on more slowly."""
        state, found = self.state, self.looks.find_collapse()
        if found is not None:
            state.restorations += 1
            load(self.trainer.parameters, self.best)
            self.optimiser.forget()
            self.optimiser.slow_down(state.restorations)
            watcher.say(
                f"update {state.update}: {found}; the policy of update {state.best_update} is "
                "taken back, and the learning rate halved"
            )

    def _save(self, checkpoints: Checkpoints) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: a weight is not finite.
        """
        broken = self._broken()
        if broken:
            raise TrainingError(
                f"update {self.state.update}: the weights {broken[0]} are not finite; lower the "
                "learning rate. The checkpoint before is kept"
            )
        tensors = {WEIGHTS + name: weight for name, weight in self.weights.items()}
        tensors |= {BEST + name: weight for name, weight in self.best.items()}
        tensors |= self.optimiser.tensors()
        tensors |= {
            f"{EVALUATOR}{learner.name}/{name}": tensor
            for learner in self.phase.learners
            for name, tensor in learner.state().items()
        }
        if self.trainer.anchor is not None:
            self.state.divergence_weight = self.trainer.anchor.weight
        values = {name: getattr(self.state, name) for name in TrainingState.__slots__}
        tensors = to_the_first(tensors, self.trainer.team)
        if self.trainer.team.is_first:
            checkpoints.save(self.state.update, tensors, values)

    def _broken(self) -> list[str]:
        """Name the weights that are not finite, in whichever process."""
        bad = [float((~own_part(weight).isfinite()).any()) for weight in self.weights.values()]
        totals = self.trainer.team.totals(bad)
        return [name for name, total in zip(self.weights, totals, strict=True) if total]


def to_the_first(tensors: Mapping[str, Tensor], team: Team) -> dict[str, Tensor]:
    """Give the first process of a team whole tensors, and the others none.

    Those that are sharded come one by one, to the CPU, so that there is room.
    """
    whole = {}
    for name, tensor in tensors.items():
        found = gathered(tensor)
        if team.is_first:
            whole[name] = found.cpu() if is_sharded(tensor) else found
    return whole


def load(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Set weights by name, in place."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(spread_like(parameter, values[name]))
