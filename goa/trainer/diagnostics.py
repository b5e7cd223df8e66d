"""What is worth knowing of a step: sums with their weights, over passes and processes."""

from collections.abc import Mapping
from dataclasses import dataclass

from goa.objectives.contract import Batch
from goa.objectives.divergence import kl_estimate
from goa.rollouts.rollout import Rollout
from goa.trainer.team import Team

Totals = dict[str, tuple[float, float]]
"""Diagnostics by name as (sum, weight)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much is learnt from."""

    texts: int = 0
    """Candidates and references."""
    tokens: int = 0
    """Theirs, end tokens included."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(texts=self.texts + other.texts, tokens=self.tokens + other.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a round came to, over all processes."""

    totals: Totals
    counts: Counts = Counts()


class Means:
    """Averages diagnostics, until they are taken."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def add(self, values: Totals) -> None:
        """Put further sums and weights in."""
        add(self._totals, values)

    def note(self) -> str:
        """Say the reward, or else the loss, in a few words."""
        name = "reward" if "reward" in self._totals else "loss"
        value, weight = self._totals[name]
        return f"{name} {value / weight:.3f}"

    def take(self) -> dict[str, float]:
        """Give the means by name, and begin anew."""
        means = {name: value / weight for name, (value, weight) in self._totals.items() if weight}
        self._totals.clear()
        return means


def said_of(rollout: Rollout, team: Team) -> Totals:
    """Average what the processes say of their shares of a round, by their numbers of sources."""
    size = float(len(rollout))
    said = {name: (size * value, size) for name, value in rollout.diagnostics.items()}
    return over_the_team(said, team)


def over_the_team(totals: Totals, team: Team) -> Totals:
    """Sum diagnostics over all processes; they have the same names in each."""
    names = sorted(totals)
    flat = team.totals([amount for name in names for amount in totals[name]])
    return dict(zip(names, zip(flat[::2], flat[1::2], strict=True), strict=True))


def measured(batch: Batch) -> Totals:
    """Measure what is worth knowing whatever the objective: divergence and entropy."""
    found: Totals = {}
    if batch.pretrained_log_probs is not None:
        kl = kl_estimate(batch.log_probs.detach(), batch.pretrained_log_probs)
        found["kl"] = (float(kl.sum()), float(kl.numel()))
    if batch.entropy is not None:
        found["entropy"] = (float(batch.entropy.detach().sum()), float(batch.mask.sum()))
    return found


def counted(rollout: Rollout) -> Counts:
    """Count the candidates and references that this process learns from in a rollout."""
    masks = [rollout.mask, *([rollout.references.mask] if rollout.references is not None else [])]
    return Counts(
        texts=sum(int(mask.any(dim=-1).sum()) for mask in masks),
        tokens=sum(int(mask.sum()) for mask in masks),
    )


def count_over(team: Team, own: Counts) -> Counts:
    """Sum counts over all processes."""
    texts, tokens = team.totals([own.texts, own.tokens])
    return Counts(texts=int(texts), tokens=int(tokens))


def add(totals: Totals, values: Mapping[str, tuple[float, float]]) -> None:
    """Add further sums and weights to diagnostics."""
    for name, (amount, weight) in values.items():
        before = totals.get(name, (0.0, 0.0))
        totals[name] = (before[0] + amount, before[1] + weight)
