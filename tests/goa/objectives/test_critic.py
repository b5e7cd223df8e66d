"""The critic learns what is to be expected, and knows only what it may know."""

from dataclasses import replace

import pytest
import torch

from goa.objectives.critic import Critic
from goa.objectives.head import HeadSettings
from tests.goa.objectives.conftest import World


def states(world: World) -> torch.Tensor:
    """[N, T, d] of all outputs."""
    sources = world.policy.pad([[3, 2, world.policy.end_id]])
    with torch.no_grad():
        scores = world.policy.score(sources, world.tokens[None], world.mask[None], states=True)
    assert scores.states is not None
    return scores.states[0]


def test_it_learns_the_expected_reward_of_each_beginning(world: World) -> None:
    critic = Critic(HeadSettings(), world.policy.state_size, seed=1)
    critic.network.double()
    log_probs = world.log_probs().detach()
    probs = log_probs.sum(dim=-1).exp()
    hidden = states(world)
    optimiser = torch.optim.Adam(critic.network.parameters(), lr=0.02)
    every = world.batch(log_probs, range(len(world.tokens)), states=hidden[None])
    for _ in range(600):
        values = critic.fill(every).values
        assert values is not None
        loss = torch.zeros((), dtype=torch.float64)
        for row, prob in enumerate(probs[:13]):  # outputs of up to two tokens, as they come
            batch = world.batch(log_probs, [row], states=hidden[row][None, None])
            loss = loss + prob * critic(batch).sum
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    values = critic.fill(every).values
    assert values is not None
    expected = (probs * world.rewards)[:13].sum() / probs[:13].sum()
    assert float(values[0, 0, 0]) == pytest.approx(float(expected), abs=0.02)


def test_a_value_knows_the_tokens_before_it_and_not_its_own(world: World) -> None:
    critic = Critic(HeadSettings(), world.policy.state_size, seed=1)
    critic.network.double()
    torch.nn.init.ones_(critic.network[2].weight)
    batch = world.batch(world.log_probs().detach(), [13, 14], states=states(world)[[13, 14]][None])
    values = critic.fill(batch).values
    assert values is not None
    first, second = world.tokens[13].tolist(), world.tokens[14].tolist()
    same = next(place for place in range(3) if first[place] != second[place])
    assert torch.allclose(values[0, 0, : same + 1], values[0, 1, : same + 1], atol=1e-12)
    if same < 2:
        assert not torch.allclose(values[0, 0, same + 1 :], values[0, 1, same + 1 :])


def test_only_tokens_count(world: World) -> None:
    critic = Critic(HeadSettings(), world.policy.state_size, seed=1)  # expects 0 of everything
    critic.network.double()
    chosen = [0, 5, 20]
    batch = world.batch(world.log_probs().detach(), chosen, states=states(world)[chosen][None])
    loss = critic(batch)
    lengths = world.mask[chosen].sum(dim=-1)
    expected = float((lengths * world.rewards[chosen].square()).sum())
    assert len(set(lengths.tolist())) > 1
    assert loss.sum.item() == pytest.approx(expected, abs=1e-12)
    assert loss.diagnostics["value_error"] == (pytest.approx(expected), float(lengths.sum()))
    assert critic.weigh(batch.mask, batch.rewards) == float(lengths.sum())


def test_it_does_not_move_the_policy(world: World) -> None:
    critic = Critic(HeadSettings(), world.policy.state_size, seed=1)
    critic.network.double()
    sources = world.policy.pad([[3, 2, world.policy.end_id]])
    scores = world.policy.score(sources, world.tokens[None], world.mask[None], states=True)
    chosen = list(range(len(world.tokens)))
    batch = replace(world.batch(scores.log_probs[0], chosen), states=scores.states)
    critic(batch).sum.backward()
    assert all(weight.grad is None for weight in world.policy.model.parameters())
    assert critic.network[2].bias.grad is not None


def test_equal_seeds_make_equal_critics() -> None:
    one, two, three = (Critic(HeadSettings(), 8, seed=seed).network[0].weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
