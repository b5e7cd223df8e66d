"""One update: the gradient is that of the aims, however the rollout is cut."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from goa.objectives.best_of_n import BestOfN, BestOfNSettings
from goa.objectives.contract import Batch, Loss, Need, Objective, OverTokens
from goa.objectives.dpo import Dpo, DpoSettings
from goa.objectives.entropy import Entropy
from goa.objectives.grpo import Grpo, GrpoSettings
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.rollouts.rollout import Rollout
from goa.trainer.anchor import Anchor
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import DivergenceSettings, OptimiserSettings
from goa.trainer.update import Aim, NotFiniteError, RolloutLearner, UpdatePlan, Updater
from tests.goa.trainer.conftest import candidates, references, weights

LIKELIHOOD = Likelihood(LikelihoodSettings(kind="likelihood", label_smoothing=0.1))
REINFORCE = Reinforce(ReinforceSettings(kind="reinforce"))


def make_updater(
    policy: Policy, *objectives: Objective, divergence: DivergenceSettings | None = None
) -> Updater:
    aims = [Aim(objective=objective) for objective in objectives]
    anchor = None if divergence is None else Anchor(policy, divergence)
    return Updater(policy, aims, UpdatePlan(seed=1), anchor)


def make_optimiser(policy: Policy, tokens_per_pass: int = 1000) -> Optimiser:
    settings = OptimiserSettings(learning_rate=1e-2, tokens_per_pass=tokens_per_pass)
    return Optimiser(dict(policy.model.named_parameters()), settings, 10)


def gradient(updater: Updater, rollout: Rollout, tokens_per_pass: int = 1000) -> Tensor:
    """The gradient that a step is taken on; the step is taken."""
    seen: list[Tensor] = []
    optimiser = make_optimiser(updater.policy, tokens_per_pass)
    clip_free = optimiser.settings.model_copy(update={"max_grad_norm": 1e9})
    optimiser.settings = clip_free

    def note(*_: object) -> None:
        seen.extend(
            weight.grad.clone().flatten()
            for weight in updater.policy.model.parameters()
            if weight.grad is not None
        )

    optimiser.adam.register_step_pre_hook(note)
    updater.update(rollout, optimiser, 0)
    return torch.cat(seen)


def exact_gradient(policy: Policy, terms: Sequence[Tensor]) -> Tensor:
    parameters = [weight for weight in policy.model.parameters() if weight.requires_grad]
    total = torch.stack(list(terms)).sum()
    parts = torch.autograd.grad(total, parameters, allow_unused=True)
    return torch.cat([part.flatten() for part in parts if part is not None])


def batch_of(policy: Policy, rollout: Rollout) -> Batch:
    """Score a rollout in one piece, with everything an objective may ask for."""
    scores = policy.score(rollout.sources, rollout.tokens, rollout.mask, entropy="gradient")
    return Batch(
        mask=rollout.mask,
        log_probs=scores.log_probs,
        mean_log_probs=scores.mean_log_probs,
        entropy=scores.entropy,
        distinct_mask=rollout.distinct_mask,
        written_log_probs=rollout.log_probs,
        rewards=rollout.rewards,
    )


@pytest.mark.parametrize("tokens_per_pass", [1000, 40, 1])
def test_it_is_the_gradient_of_the_mean_over_the_whole_step_however_it_is_cut(
    policy: Policy, tokens_per_pass: int
) -> None:
    policy.model.double()
    rollout = dataclasses.replace(candidates(policy), references=references(policy))
    rl, ml = batch_of(policy, rollout), batch_of(policy, references(policy))
    entropy = Entropy()
    expected = exact_gradient(
        policy,
        [
            REINFORCE(rl).sum / 10,
            -0.3 * rl.entropy.sum() / rl.mask.sum(),  # type: ignore[union-attr]
            0.7 * LIKELIHOOD(ml).sum / ml.mask.sum(),
        ],
    )
    aims = [
        Aim(objective=REINFORCE),
        Aim(objective=entropy, coefficient=lambda _: 0.3),
        Aim(objective=LIKELIHOOD, coefficient=lambda _: 0.7, of_references=True),
    ]
    updater = Updater(policy, aims, UpdatePlan(seed=1), Anchor(policy, DivergenceSettings()))
    found = gradient(updater, rollout, tokens_per_pass)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)  # float64: only the order differs
    assert float(expected.norm()) > 0.1


@pytest.mark.parametrize("tokens_per_pass", [1000, 1])
def test_texts_and_tokens_are_counted_once_a_round_and_not_averaged(
    policy: Policy, tokens_per_pass: int
) -> None:
    own, others = candidates(policy), references(policy)
    rollout = dataclasses.replace(own, references=others)
    updater = make_updater(policy, REINFORCE)
    updater.plan = UpdatePlan(seed=1, steps_per_round=2)
    lesson = RolloutLearner([rollout], updater).learn(0, make_optimiser(policy, tokens_per_pass))
    num_texts = sum(masks.shape[0] * masks.shape[1] for masks in (own.mask, others.mask))
    assert lesson.counts.texts == num_texts
    assert lesson.counts.tokens == int(own.mask.sum()) + int(others.mask.sum())
    assert not {"texts", "tokens"} & lesson.totals.keys()


def test_an_aim_without_weight_is_left_out(make_policy: Callable[..., Policy]) -> None:
    alone, beside = make_policy(), make_policy()
    aims = [
        Aim(objective=REINFORCE),
        Aim(objective=Entropy(), coefficient=lambda _: 0.0),
        Aim(objective=LIKELIHOOD, of_references=True),  # of a rollout that has none
    ]
    mixed = Updater(beside, aims, UpdatePlan(seed=1))
    one = gradient(make_updater(alone, REINFORCE), candidates(alone))
    assert torch.equal(gradient(mixed, candidates(beside)), one)


def test_coefficients_follow_the_updates(policy: Policy) -> None:
    asked: list[int] = []

    def coefficient(update: int) -> float:
        asked.append(update)
        return 1.0

    updater = Updater(
        policy, [Aim(objective=LIKELIHOOD, coefficient=coefficient)], UpdatePlan(seed=1)
    )
    for update in (0, 1, 5):
        updater.update(references(policy), make_optimiser(policy), update)
    assert asked == [0, 1, 5]


def test_several_steps_on_a_round_are_updates_one_after_the_other(
    make_policy: Callable[..., Policy],
) -> None:
    at_once, by_hand = make_policy(), make_policy()
    grpo = Grpo(GrpoSettings(kind="grpo"))
    aims, rollout = [Aim(objective=grpo)], candidates(at_once)
    thrice = Updater(at_once, aims, UpdatePlan(seed=1, steps_per_round=3))
    totals = thrice.update(rollout, make_optimiser(at_once), 0)
    once, optimiser = make_updater(by_hand, grpo), make_optimiser(by_hand)
    norms = [once.update(rollout, optimiser, 0)["grad_norm"][0] for _ in range(3)]
    assert all(
        torch.equal(weights(by_hand)[name], found) for name, found in weights(at_once).items()
    )
    assert totals["grad_norm"] == (pytest.approx(sum(norms)), 3.0)


def test_the_divergence_in_the_loss_pulls_back(make_policy: Callable[..., Policy]) -> None:
    def moved(price: float) -> float:
        policy = make_policy()
        settings = DivergenceSettings(weight=price, where="loss")
        updater = make_updater(policy, REINFORCE, divergence=settings)
        optimiser, rollout = make_optimiser(policy), candidates(policy)
        for update in range(6):
            totals = updater.update(rollout, optimiser, update)
        return totals["kl"][0] / totals["kl"][1]

    assert moved(1.0) < 0.5 * moved(0.0)


def test_the_divergence_is_exactly_zero_before_the_first_step(policy: Policy) -> None:
    updater = make_updater(policy, REINFORCE, divergence=DivergenceSettings())
    optimiser, rollout = make_optimiser(policy, tokens_per_pass=40), candidates(policy)
    first = updater.update(rollout, optimiser, 0)
    second = updater.update(rollout, optimiser, 1)
    assert first["kl"][0] == 0.0
    assert second["kl"][0] > 0.0
    assert first["entropy"][0] > 0.0


def test_the_price_is_steered_by_the_mean_divergence_of_the_round(
    make_policy: Callable[..., Policy],
) -> None:
    def train(target: float | None) -> tuple[float, float]:
        policy = make_policy()
        settings = DivergenceSettings(weight=0.5, where="loss", target=target)
        updater = make_updater(policy, REINFORCE, divergence=settings)
        optimiser, rollout = make_optimiser(policy), candidates(policy)
        updater.update(rollout, optimiser, 0)
        amount, count = updater.update(rollout, optimiser, 1)["kl"]
        assert updater.anchor is not None
        return updater.anchor.weight, amount / count

    weight, divergence = train(target=None)
    assert weight == 0.5
    # At first there is no divergence at all, and the price falls by 2 %; then it is on target.
    weight, _ = train(target=divergence)
    assert weight == pytest.approx(0.5 * 0.98)


@pytest.mark.parametrize("tokens_per_pass", [1000, 40])
def test_the_loss_that_is_reported_is_the_one_that_is_minimised(
    policy: Policy, tokens_per_pass: int
) -> None:
    own, others = batch_of(policy, candidates(policy)), batch_of(policy, references(policy))
    likelihood = float(LIKELIHOOD(others).sum.detach()) / int(others.mask.sum())
    expected = float(REINFORCE(own).sum.detach()) / 10 + 0.7 * likelihood
    aims = [
        Aim(objective=REINFORCE),
        Aim(objective=LIKELIHOOD, coefficient=lambda _: 0.7, of_references=True),
    ]
    rollout = dataclasses.replace(candidates(policy), references=references(policy))
    totals = Updater(policy, aims, UpdatePlan(seed=1)).update(
        rollout, make_optimiser(policy, tokens_per_pass), 0
    )
    assert totals["loss"] == (pytest.approx(expected, abs=1e-5), 1.0)


class Spy(OverTokens):
    """Sees what is to be learnt from, and has something to say of it."""

    needs: frozenset[Need] = frozenset(("entropy", "states"))

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def __call__(self, batch: Batch) -> Loss:
        self.batches.append(batch)
        size = float(len(batch.mask))
        return Loss(sum=batch.log_probs.sum(), diagnostics={"spied": (2 * size, size)})


def test_an_objective_sees_what_a_rollout_holds_and_what_it_asks_for(policy: Policy) -> None:
    spy, plain = Spy(), candidates(policy)
    rollout = dataclasses.replace(
        plain,
        pretrained_log_probs=torch.rand(plain.mask.shape),
        greedy_rewards=torch.rand(5),
        credits=torch.rand(plain.mask.shape),
        prefix_mask=torch.rand(plain.mask.shape) < 0.5,
    ).by_length()
    expected = {
        "mask": rollout.mask,
        "distinct_mask": rollout.distinct_mask,
        "written_log_probs": rollout.log_probs,
        "pretrained_log_probs": rollout.pretrained_log_probs,
        "rewards": rollout.rewards,
        "greedy_rewards": rollout.greedy_rewards,
        "credits": rollout.credits,
        "prefix_mask": rollout.prefix_mask,
    }
    totals = make_updater(policy, spy).update(rollout, make_optimiser(policy), 0)
    (batch,) = spy.batches
    for name, value in expected.items():
        assert value is not None
        assert torch.equal(getattr(batch, name), value), name
    assert batch.log_probs[batch.mask].allclose(plain.by_length().log_probs[batch.mask], atol=1e-6)  # type: ignore[index]
    assert batch.entropy is not None
    assert batch.entropy.requires_grad
    assert batch.states is not None
    assert batch.states.shape == (*rollout.mask.shape, policy.state_size)
    assert totals["spied"] == (10.0, 5.0)


def test_what_an_objective_says_of_its_parts_is_summed(policy: Policy) -> None:
    spy = Spy()
    totals = make_updater(policy, spy).update(candidates(policy), make_optimiser(policy, 40), 0)
    assert len(spy.batches) > 1
    assert totals["spied"] == (10.0, 5.0)


@pytest.mark.parametrize("tokens_per_pass", [1000, 40])
def test_measuring_says_what_a_step_would_and_takes_none(
    policy: Policy, tokens_per_pass: int
) -> None:
    updater = make_updater(policy, REINFORCE, divergence=DivergenceSettings())
    optimiser, rollout = make_optimiser(policy, tokens_per_pass), candidates(policy)
    updater.update(rollout, optimiser, 0)
    before = weights(policy)
    attached = updater.attach(rollout, tokens_per_pass)
    found = updater.measure(attached, tokens_per_pass)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(policy).items())
    stepped = updater.update(rollout, optimiser, 1)
    assert found == {name: pytest.approx(stepped[name], rel=1e-5) for name in ("kl", "entropy")}
    assert found["kl"][0] > 0.0


def test_a_learner_has_as_many_rounds_as_there_are(policy: Policy) -> None:
    learner = RolloutLearner([candidates(policy)] * 3, make_updater(policy, REINFORCE))
    assert len(learner) == 3


@pytest.mark.parametrize(
    "objective", [BestOfN(BestOfNSettings(kind="best_of_n")), Dpo(DpoSettings(kind="dpo"))]
)
def test_where_nothing_is_to_be_learnt_no_step_is_taken(
    policy: Policy, objective: Objective
) -> None:
    optimiser, rollout = make_optimiser(policy), candidates(policy)
    make_updater(policy, LIKELIHOOD).update(rollout, optimiser, 0)
    before = weights(policy)
    # Rewards that are all the same prefer nothing; the optimiser's momentum must not move it.
    silent = dataclasses.replace(rollout, rewards=torch.ones(5, 2))
    totals = make_updater(policy, objective, divergence=DivergenceSettings()).update(
        silent, optimiser, 1
    )
    assert totals["grad_norm"] == (0.0, 1.0)
    assert totals["loss"] == (0.0, 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(policy).items())


def test_a_single_source_is_learnt_from(policy: Policy) -> None:
    objective, rollout = Dpo(DpoSettings(kind="dpo")), candidates(policy)[:1]
    assert objective.weigh(rollout.mask, rollout.rewards) == 1.0
    updater = make_updater(policy, objective, divergence=DivergenceSettings())
    totals = updater.update(rollout, make_optimiser(policy), 0)
    assert totals["grad_norm"][0] > 0.0


def test_a_loss_that_is_not_finite_ends_the_run_before_a_step(policy: Policy) -> None:
    before = weights(policy)
    with torch.no_grad():
        policy.model.get_parameter("model.shared.weight")[0] = math.nan
    with pytest.raises(NotFiniteError, match="the loss is nan"):
        make_updater(policy, LIKELIHOOD).update(references(policy), make_optimiser(policy), 0)
    name = "model.encoder.layers.0.fc1.weight"
    assert torch.equal(before[name], weights(policy)[name])


def test_a_gradient_that_is_not_finite_ends_the_run(policy: Policy) -> None:
    optimiser = make_optimiser(policy)
    optimiser.step = lambda _: math.inf
    with pytest.raises(NotFiniteError, match="a gradient is not finite"):
        make_updater(policy, LIKELIHOOD).update(references(policy), optimiser, 0)


def test_without_an_anchor_there_is_nothing_to_steer(policy: Policy) -> None:
    updater = make_updater(policy, LIKELIHOOD)
    updater.steer(5.0)
    assert updater.anchor is None


def test_after_an_update_the_policy_is_ready_to_write(policy: Policy) -> None:
    seen: list[bool] = []
    encoder = policy.model.get_encoder()
    encoder.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    plan = UpdatePlan(seed=1, dropout=True)
    Updater(policy, [Aim(objective=LIKELIHOOD)], plan).update(
        references(policy), make_optimiser(policy), 0
    )
    assert seen == [True]
    assert not policy.model.training
