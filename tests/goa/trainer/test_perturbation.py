"""Adversarial samples: moved where it hurts, by as much as said, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.rollouts.rollout import Rollout
from goa.trainer.anchor import Anchor
from goa.trainer.optimiser import Optimiser
from goa.trainer.perturbation import Perturbation
from goa.trainer.settings import DivergenceSettings, OptimiserSettings, PerturbationSettings
from goa.trainer.update import Aim, UpdatePlan, Updater
from tests.goa.trainer.conftest import candidates, references

CHOSEN = torch.tensor([True, False, True, False, True])


@pytest.fixture(params=["marian", "bart", "t5", "llama"])
def policy(make_policy: Callable[..., Policy], request: pytest.FixtureRequest) -> Policy:
    return make_policy(request.param)


def loss_of(policy: Policy, rollout: Rollout, sources: Tokens) -> torch.Tensor:
    """[B] of the references, given these sources."""
    return -policy.score(sources, rollout.tokens, rollout.mask).log_probs.sum(dim=(1, 2))


def attacked(policy: Policy, size: float) -> tuple[Rollout, Tokens]:
    rollout = references(policy)
    perturbation = Perturbation(policy, PerturbationSettings(size=size), seed=1)
    moved = perturbation.attack(
        rollout.sources, CHOSEN, lambda sources: loss_of(policy, rollout, sources).sum()
    )
    return rollout, moved


def test_offsets_of_nothing_change_nothing(policy: Policy) -> None:
    rollout = references(policy)
    vectors = policy.source_embedding(rollout.sources.ids)
    zero = Tokens(
        ids=rollout.sources.ids, mask=rollout.sources.mask, offsets=torch.zeros_like(vectors)
    )
    with torch.no_grad():
        before = loss_of(policy, rollout, rollout.sources)
        assert torch.allclose(loss_of(policy, rollout, zero), before, atol=1e-5)


def test_the_loss_of_the_chosen_rises_by_the_steps_first_order_and_no_others(
    policy: Policy,
) -> None:
    policy.model.double()
    rollout, moved = attacked(policy, size=1e-3)
    assert moved.offsets is not None
    leaf = torch.zeros_like(moved.offsets, requires_grad=True)
    at_rest = Tokens(ids=moved.ids, mask=moved.mask, offsets=leaf)
    before = loss_of(policy, rollout, at_rest)
    (slope,) = torch.autograd.grad(before.sum(), leaf)
    with torch.no_grad():
        rise = loss_of(policy, rollout, moved) - before
    expected = (slope * moved.offsets).sum(dim=(1, 2))
    assert torch.allclose(rise[CHOSEN], expected[CHOSEN], rtol=0.05)
    assert (rise[CHOSEN] > 0).all()
    assert torch.allclose(rise[~CHOSEN], torch.zeros(2, dtype=torch.float64), atol=1e-12)


def test_each_coordinate_moves_by_its_share_of_the_tokens_embedding(policy: Policy) -> None:
    rollout, moved = attacked(policy, size=0.05)
    assert moved.offsets is not None
    vectors = policy.source_embedding(rollout.sources.ids).detach()
    sizes = 0.05 * vectors.square().mean(dim=-1, keepdim=True).sqrt()
    where = (CHOSEN[:, None] & rollout.sources.mask)[..., None]
    found = moved.offsets.abs()
    still = found == 0.0  # a coordinate without slope stays
    assert torch.allclose(found, (sizes * where).masked_fill(still, 0.0), rtol=1e-5)
    assert float((still & where).float().mean()) < 0.05


def test_the_attack_leaves_no_gradient_behind(policy: Policy) -> None:
    attacked(policy, size=0.05)
    assert all(weight.grad is None for weight in policy.model.parameters())


def test_an_update_learns_from_the_moved_sources_and_reports_on_the_others(
    make_policy: Callable[..., Policy],
) -> None:
    likelihood = Aim(objective=Likelihood(LikelihoodSettings(kind="likelihood")))

    def update(tokens_per_pass: int, share: float | None) -> dict[str, float]:
        policy = make_policy()
        perturbation = None
        if share is not None:
            settings = PerturbationSettings(share=share, size=0.3)
            perturbation = Perturbation(policy, settings, seed=1)
        plan = UpdatePlan(seed=1, perturbation=perturbation)
        updater = Updater(policy, [likelihood], plan, Anchor(policy, DivergenceSettings()))
        parameters = dict(policy.model.named_parameters())
        made = OptimiserSettings(learning_rate=1e-9, tokens_per_pass=tokens_per_pass)
        totals = updater.update(candidates(policy), Optimiser(parameters, made, 1), 0)
        return {name: value / weight for name, (value, weight) in totals.items() if weight}

    plain = update(1000, None)
    hurt = update(1000, 1.0)
    cut = update(30, 1.0)
    assert hurt["loss"] > plain["loss"] + 0.01
    assert cut["loss"] == pytest.approx(hurt["loss"], rel=1e-5)
    assert cut["grad_norm"] == pytest.approx(hurt["grad_norm"], rel=1e-4)
    assert hurt["kl"] == 0.0
    assert hurt["nll"] == pytest.approx(plain["nll"], rel=1e-6)


def test_the_share_of_sources_is_the_one_that_was_told(policy: Policy) -> None:
    perturbation = Perturbation(policy, PerturbationSettings(share=0.3), seed=1)
    chosen = perturbation.choose(10_000, 3, 0)
    assert float(chosen.float().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(perturbation.choose(10_000, 3, 0), chosen)
    assert not torch.equal(perturbation.choose(10_000, 4, 0), chosen)


def test_references_are_learnt_from_with_their_sources_moved_too(
    make_policy: Callable[..., Policy],
) -> None:
    likelihood = Likelihood(LikelihoodSettings(kind="likelihood"))

    def loss(share: float | None) -> float:
        policy = make_policy()
        perturbation = None
        if share is not None:
            settings = PerturbationSettings(share=share, size=0.3)
            perturbation = Perturbation(policy, settings, seed=1)
        aims = [Aim(objective=likelihood, of_references=True)]
        updater = Updater(policy, aims, UpdatePlan(seed=1, perturbation=perturbation))
        optimiser = Optimiser(policy.trained(), OptimiserSettings(learning_rate=1e-9), 1)
        rollout = replace(candidates(policy), references=references(policy))
        return updater.update(rollout, optimiser, 0)["loss"][0]

    assert loss(1.0) > loss(None) + 0.01
    assert loss(1e-9) == pytest.approx(loss(None), rel=1e-6)
