"""The policy gradient against the exact gradient, where every sequence can be enumerated."""

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch, Loss
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy

MAX_TOKENS = 3
BASELINES = ["none", "greedy", "mean", "leave_one_out"]


@dataclass
class World:
    """A policy over a vocabulary so small that all its outputs fit in a list."""

    policy: Policy
    tokens: Tensor
    """[N, T] every output of at most MAX_TOKENS tokens."""
    mask: Tensor
    """[N, T]."""
    rewards: Tensor
    """[N] in [0, 1], arbitrary."""
    pretrained: Tensor
    """[N, T] log-probs under another policy."""

    def log_probs(self) -> Tensor:
        """[N, T] with gradient."""
        sources = self.policy.pad([[3, 2, self.policy.end_id]])
        return self.policy.score(sources, self.tokens[None], self.mask[None]).log_probs[0]

    def gradient(self, value: Tensor) -> Tensor:
        """Of a scalar with respect to all weights, flat."""
        weights = [weight for weight in self.policy.model.parameters() if weight.requires_grad]
        parts = torch.autograd.grad(value, weights, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])


@pytest.fixture
def world(make_policy: Callable[..., Policy]) -> World:
    policy = make_policy(vocab_size=16)
    # Padding, end, unknown and one more token: 1 + 3 + 3 * 3 * 4 outputs.
    policy.model.resize_token_embeddings(4, mean_resizing=False)
    policy.model.final_logits_bias = torch.tensor([[0.3, 0.5, -0.4, 0.1]])
    policy.model.double()
    other = copy.deepcopy(policy.model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    rows = list(_every_output(4, policy.end_id))
    padded = policy.pad(rows)
    rewards = torch.rand(len(rows), generator=generator, dtype=torch.float64)
    world = World(policy, padded.ids, padded.mask, rewards, torch.zeros(0))
    world.pretrained = (
        World(Policy(other, policy.tokenizer), padded.ids, padded.mask, rewards, torch.zeros(0))
        .log_probs()
        .detach()
    )
    return world


def _every_output(vocab_size: int, end_id: int) -> list[tuple[int, ...]]:
    others = [token for token in range(vocab_size) if token != end_id]
    ended = [
        (*prefix, end_id)
        for length in range(MAX_TOKENS)
        for prefix in itertools.product(others, repeat=length)
    ]
    return ended + list(itertools.product(others, repeat=MAX_TOKENS))


def _batch(world: World, log_probs: Tensor, chosen: Sequence[int], **extra: Tensor) -> Batch:
    """One source with these outputs as its candidates."""
    index = torch.tensor(chosen)
    return Batch(
        mask=world.mask[index][None],
        log_probs=log_probs[index][None],
        mean_log_probs=log_probs[index][None],
        rewards=world.rewards[index][None],
        greedy_rewards=torch.tensor([0.37], dtype=torch.float64),
        pretrained_log_probs=world.pretrained[index][None],
        **extra,
    )


def _expected_loss(world: World, objective: Reinforce, log_probs: Tensor) -> Tensor:
    """The loss of K = 2 candidates averaged over all pairs, weighted by their probability."""
    probs = log_probs.sum(dim=-1).detach().exp()
    total = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(range(len(world.tokens)), repeat=2):
        loss = objective(_batch(world, log_probs, pair))
        total = total + probs[pair[0]] * probs[pair[1]] * loss.sum / loss.weight
    return total


def test_the_enumerated_outputs_are_all_there_are(world: World) -> None:
    assert float(world.log_probs().detach().sum(dim=-1).exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_expected_gradient_is_that_of_the_expected_reward(world: World, baseline: str) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    estimated = world.gradient(_expected_loss(world, objective, world.log_probs()))
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    shrink = 0.5 if baseline == "mean" else 1.0  # (K - 1) / K: the baseline contains the candidate
    assert torch.allclose(-estimated, shrink * exact, rtol=1e-9, atol=1e-12)
    assert float(exact.norm()) > 1e-3


def test_with_a_penalty_it_is_that_of_the_reward_less_the_divergence(world: World) -> None:
    weight = 0.2
    objective = Reinforce(ReinforceSettings(kind="reinforce", kl_weight=weight))
    estimated = world.gradient(_expected_loss(world, objective, world.log_probs()))
    log_probs = world.log_probs().sum(dim=-1)
    divergence = (log_probs.exp() * (log_probs - world.pretrained.sum(dim=-1))).sum()
    exact = world.gradient((log_probs.exp() * world.rewards).sum() - weight * divergence)
    assert torch.allclose(-estimated, exact, rtol=1e-9, atol=1e-12)


def test_candidates_of_another_policy_are_weighted_by_the_ratio(world: World) -> None:
    objective = Reinforce(
        ReinforceSettings(kind="reinforce", baseline="none", max_importance_ratio=1e6)
    )
    log_probs = world.log_probs()
    written = world.pretrained
    total = torch.zeros((), dtype=torch.float64)
    for index, prob in enumerate(written.sum(dim=-1).exp()):
        batch = _batch(world, log_probs, [index], written_log_probs=written[index][None, None])
        total = total + prob * objective(batch).sum
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    assert torch.allclose(-world.gradient(total), exact, rtol=1e-9, atol=1e-12)


def test_the_ratio_is_bounded(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", max_importance_ratio=2.0))
    log_probs = world.log_probs()
    written = (log_probs.detach() - 3.0)[None, :2]
    loss = objective(_batch(world, log_probs, [0, 1], written_log_probs=written))
    assert loss.diagnostics["importance_ratio"] == (4.0, 2.0)


def test_cutting_the_batch_along_sources_changes_nothing(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    log_probs = world.log_probs()
    parts = [objective(_batch(world, log_probs, pair)) for pair in ([0, 5], [7, 2])]
    one, two = (_batch(world, log_probs, pair) for pair in ([0, 5], [7, 2]))
    whole = objective(
        Batch(
            mask=torch.cat([one.mask, two.mask]),
            log_probs=torch.cat([one.log_probs, two.log_probs]),
            mean_log_probs=torch.cat([one.mean_log_probs, two.mean_log_probs]),
            rewards=_cat(one.rewards, two.rewards),
        )
    )
    assert whole.sum.item() == pytest.approx(sum(part.sum.item() for part in parts), abs=1e-12)
    assert whole.weight == sum(part.weight for part in parts)


def _cat(one: Tensor | None, two: Tensor | None) -> Tensor:
    assert one is not None
    assert two is not None
    return torch.cat([one, two])


@pytest.mark.parametrize("baseline", ["greedy", "mean", "leave_one_out"])
def test_rewards_that_are_all_shifted_alike_change_nothing(world: World, baseline: str) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline=baseline))  # type: ignore[arg-type]
    log_probs = world.log_probs()
    batch = _batch(world, log_probs, [3, 8, 11])
    assert batch.rewards is not None
    assert batch.greedy_rewards is not None
    shifted = Batch(
        mask=batch.mask,
        log_probs=batch.log_probs,
        mean_log_probs=batch.mean_log_probs,
        rewards=batch.rewards + 0.25,
        greedy_rewards=batch.greedy_rewards + 0.25,
    )
    assert objective(shifted).sum.item() == pytest.approx(objective(batch).sum.item(), abs=1e-9)


def test_the_divergence_is_exactly_zero_where_the_policies_agree(world: World) -> None:
    world.pretrained = world.log_probs().detach()
    loss = _loss_of(world)
    assert loss.diagnostics["kl"][0] == 0.0


def test_the_divergence_estimate_is_the_divergence_on_average(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline="none"))
    log_probs = world.log_probs().detach()
    probs = log_probs.sum(dim=-1).exp()
    estimate = sum(
        float(prob) * objective(_batch(world, log_probs, [index])).diagnostics["kl"][0]
        for index, prob in enumerate(probs)
    )
    exact = float((probs * (log_probs - world.pretrained).sum(dim=-1)).sum())
    assert estimate == pytest.approx(exact, rel=1e-9)
    assert exact > 1e-4


def _loss_of(world: World) -> Loss:
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    return objective(_batch(world, world.log_probs(), [1, 4, 9]))


def test_leave_one_out_needs_a_second_candidate(world: World) -> None:
    objective = Reinforce(ReinforceSettings(kind="reinforce"))
    with pytest.raises(ValueError, match="at least 2 candidates"):
        objective(_batch(world, world.log_probs(), [1]))
