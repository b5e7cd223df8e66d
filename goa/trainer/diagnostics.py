"""What is worth knowing of a step: sums with their weights, over passes and processes."""

from collections.abc import Mapping

from goa.objectives.contract import Batch
from goa.objectives.divergence import kl_estimate
from goa.rollouts.rollout import Rollout
from goa.trainer.team import Team

Totals = dict[str, tuple[float, float]]
"""Diagnostics by name as (sum, weight); what is counted, not averaged, weighs nothing."""
TEXTS, TOKENS = "texts", "tokens"


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


def counted(rollout: Rollout) -> Totals:
    """Count the candidates and references that a rollout is learnt from, and their tokens."""
    masks = [rollout.mask, *([rollout.references.mask] if rollout.references is not None else [])]
    return {
        TEXTS: (float(sum(int(mask.any(dim=-1).sum()) for mask in masks)), 0.0),
        TOKENS: (float(sum(int(mask.sum()) for mask in masks)), 0.0),
    }


def add(totals: Totals, values: Mapping[str, tuple[float, float]]) -> None:
    """Add further sums and weights to diagnostics."""
    for name, (amount, weight) in values.items():
        before = totals.get(name, (0.0, 0.0))
        totals[name] = (before[0] + amount, before[1] + weight)
