"""Rounds in, a better policy out."""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from goa.checkpoints import Checkpoints
from goa.errors import TrainingError
from goa.objectives.contract import Batch, Loss, Objective
from goa.objectives.divergence import kl_estimate
from goa.policies.policy import Policy
from goa.randomness import derive_seed
from goa.rollouts.rollout import Rollout, Rounds
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings, ValidationSettings

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
    rows: list[dict[str, float]] = field(default_factory=list)
    """What was recorded, one mapping a look, ``update`` first."""


class Trainer:
    """Trains a policy on rounds with an objective; one round is one update."""

    def __init__(
        self,
        policy: Policy,
        objective: Objective,
        settings: OptimiserSettings,
        seed: int,
        dropout: bool,
    ) -> None:
        """Set the trainer up.

        Args:
            policy: trained in place.
            objective: gives the loss.
            settings: of the optimiser.
            seed: of dropout.
            dropout: whether the policy's dropout is on during updates. Rewards are earned without
                it, so policy-gradient updates must be without it too: with it the divergence from
                the pretrained policy is not 0 even before the first step.
        """
        self.policy = policy
        self.objective = objective
        self.settings = settings
        self.seed = seed
        self.dropout = dropout
        self.pretrained: Policy | None = None
        self.parameters = {
            name: weight for name, weight in policy.model.named_parameters() if weight.requires_grad
        }

    def measure_divergence(self) -> None:
        """Keep a frozen copy of the policy as it is now; report divergence from it, and entropy."""
        self.pretrained = Policy(copy.deepcopy(self.policy.model).eval(), self.policy.tokenizer)
        self.pretrained.model.requires_grad_(False)

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
        optimiser = Optimiser(self.parameters, self.settings, len(rounds))
        state, best = self._resume(checkpoints, optimiser)
        if state.update == 0:
            best = self._look(state, best, {}, validate)
            watcher.record(0, state.rows[-1])
        means = _Means()
        while state.update < len(rounds) and not _patience_is_over(state, validation):
            rollout = rounds[state.update]
            means.add(self.update(rollout, optimiser, state.update))
            means.add({name: (value, 1.0) for name, value in rollout.diagnostics.items()})
            state.update += 1
            watcher.advance(state.update, means.note())
            if state.update % validation.every == 0 or state.update == len(rounds):
                best = self._look(state, best, means.take(), validate)
                watcher.record(state.update, state.rows[-1])
                self._save(checkpoints, state, best, optimiser)
        self._load_weights(best)
        self.policy.model.eval()
        return state

    def update(self, rollout: Rollout, optimiser: Optimiser, update: int) -> dict[str, Any]:
        """Take one step on a rollout, pass by pass; return its diagnostics as (sum, weight)."""
        self.policy.model.train(self.dropout)
        torch.manual_seed(derive_seed(self.seed, "dropout", update) % 2**63)
        totals: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        weight = 0.0
        for part in rollout.cut(self.settings.tokens_per_pass):
            loss, measured = self._loss(part)
            value = float(loss.sum.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss of update {update + 1} is {value}: not finite; "
                    "lower the learning rate, or look at the evaluator's rewards"
                )
            torch.autograd.backward(loss.sum)
            weight += loss.weight
            measured["loss"] = (value, loss.weight)
            for name, (amount, count) in (measured | dict(loss.diagnostics)).items():
                before = totals[name]
                totals[name] = (before[0] + amount, before[1] + count)
        norm = optimiser.step(update, weight)
        if not math.isfinite(norm):
            raise TrainingError(f"a gradient of update {update + 1} is not finite")
        return dict(totals) | {"grad_norm": (norm, 1.0)}

    def _loss(self, part: Rollout) -> tuple[Loss, dict[str, tuple[float, float]]]:
        """Score a part and compute its loss; also what is measured whatever the objective."""
        scores = self.policy.score(
            part.sources, part.tokens, part.mask, with_entropy=self.pretrained is not None
        )
        pretrained, measured = None, {}
        if self.pretrained is not None:
            with torch.no_grad():
                pretrained = self.pretrained.score(part.sources, part.tokens, part.mask).log_probs
            kl = kl_estimate(scores.log_probs.detach(), pretrained)
            measured["kl"] = (float(kl.sum()), float(kl.numel()))
        if scores.entropy is not None:
            measured["entropy"] = (float(scores.entropy.sum()), float(part.mask.sum()))
        batch = Batch(
            mask=part.mask,
            log_probs=scores.log_probs,
            mean_log_probs=scores.mean_log_probs,
            distinct_mask=part.distinct_mask,
            written_log_probs=part.log_probs,
            pretrained_log_probs=pretrained,
            rewards=part.rewards,
            greedy_rewards=part.greedy_rewards,
        )
        return self.objective(batch), measured

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
        tensors = {WEIGHTS + name: tensor for name, tensor in self.parameters.items()}
        tensors |= {BEST + name: tensor for name, tensor in best.items()}
        values = {name: getattr(state, name) for name in TrainingState.__slots__}
        checkpoints.save(state.update, tensors | optimiser.tensors(), values)

    def _resume(
        self, checkpoints: Checkpoints, optimiser: Optimiser
    ) -> tuple[TrainingState, dict[str, Tensor]]:
        checkpoint = checkpoints.latest()
        if checkpoint is None:
            return TrainingState(), {}
        named = checkpoint.tensors
        self._load_weights({name: named[WEIGHTS + name] for name in self.parameters})
        optimiser.restore(named)
        best = {name: named[BEST + name].to(self.policy.device) for name in self.parameters}
        return TrainingState(**checkpoint.state), best

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])


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


def _patience_is_over(state: TrainingState, validation: ValidationSettings) -> bool:
    return validation.patience is not None and state.looks_since_best >= validation.patience
