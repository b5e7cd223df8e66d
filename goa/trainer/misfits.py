"""Settings of fine-tuning that do not fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goa.trainer.finetuning import FinetuneSettings

TAKEN = ("reward", "phase_reward", "live_reward", "length", "loss")
"""What stands in the history with validation_ before it, as guards do."""


def misfit(settings: FinetuneSettings) -> str | None:
    """Say what does not fit together; None: everything does."""
    checks = (_misled, _incomparable, _undivided, _unsearched, _unguarded)
    return next((problem for check in checks if (problem := check(settings)) is not None), None)


def _misled(settings: FinetuneSettings) -> str | None:
    """Say what is wrong where candidates are not the draws that the objective needs."""
    if settings.candidates.kind == "greedy" and settings.objective.kind != "evolution":
        return "greedy outputs are one for each source; only evolution can learn from them"
    if "draws" in settings.needs and (
        settings.candidates.kind != "sample" or settings.with_reference
    ):
        return (
            f"{settings.objective.kind} learns from the policy's own draws: beams and references "
            "would mislead it; use candidates of kind sample and with_reference: false, or one "
            "of mrt, margin, best_of_n, dpo"
        )
    return None


def _incomparable(settings: FinetuneSettings) -> str | None:
    """Say what is wrong where a source has no two candidates."""
    baseline = getattr(settings.objective, "baseline", None)
    alone = baseline in {"none", "greedy", "critic"}
    alone = alone or settings.objective.kind in {"ppo", "evolution"}
    if settings.candidates.candidates + settings.with_reference == 1 and not alone:
        return (
            "this objective or baseline compares the candidates of a source: it needs "
            "candidates.num_candidates of 2 or more"
        )
    return None


def _undivided(settings: FinetuneSettings) -> str | None:
    """Say what is wrong where credit cannot reach tokens."""
    if settings.credit.kind == "uniform":
        return None
    if settings.objective.kind not in {"reinforce", "grpo", "ppo", "mixer"}:
        return f"{settings.objective.kind} looks at whole candidates: credit can only be uniform"
    if settings.credit.kind == "reward_to_go" and "greedy" in settings.needs:
        return (
            "the greedy baseline is one number for the whole output; with reward_to_go take "
            "leave_one_out, mean, critic or none"
        )
    return None


def _unsearched(settings: FinetuneSettings) -> str | None:
    """Say what is wrong where evolution is to do what needs a gradient."""
    if settings.objective.kind != "evolution":
        return None
    terms = (
        settings.learns_from_references or settings.entropy_weight > 0.0 or settings.with_reference
    )
    terms = terms or settings.perturbation is not None
    if terms or settings.steps_per_round > 1 or settings.silent_sources == "resample":
        return (
            "evolution knows the rewards of what the policy writes and nothing else: "
            "likelihood_weight and entropy_weight are 0, with_reference is false, there is no "
            "perturbation, steps_per_round is 1, and silent_sources is keep or skip"
        )
    if settings.divergence.weight > 0.0 and settings.divergence.where == "loss":
        return "evolution has no loss; take divergence.where: reward"
    return None


def _unguarded(settings: FinetuneSettings) -> str | None:
    """Say what is wrong with a guard."""
    for name, guard in settings.guards.items():
        if name in TAKEN:
            return f"guards.{name}: validation_{name} names something else; choose another name"
        if "chance" in guard.hangs_on:
            return f"guards.{name}: draws at random, so that a fall may be luck; take another"
    return None
