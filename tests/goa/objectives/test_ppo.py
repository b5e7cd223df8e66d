"""PPO against the exact gradient, and its advantages against their definition."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from goa.objectives.ppo import Ppo, PpoSettings
from tests.goa.objectives.conftest import World


def expected_sum(world: World, objective: Ppo, values: Tensor) -> Tensor:
    """The summed loss of one candidate, over all there are."""
    log_probs = world.log_probs()
    written = log_probs.detach()
    total = torch.zeros((), dtype=torch.float64)
    for index, prob in enumerate(written.sum(dim=-1).exp()):
        chosen = {"written_log_probs": written[index], "values": values[index]}
        batch = world.batch(
            log_probs, [index], **{name: row[None, None] for name, row in chosen.items()}
        )
        total = total + prob * objective(batch).sum
    return total


def true_values(world: World) -> Tensor:
    """[N, T] the expected reward of all outputs that begin alike."""
    probs = world.log_probs().detach().sum(dim=-1).exp()
    rows = [tuple(row[mask].tolist()) for row, mask in zip(world.tokens, world.mask, strict=True)]
    values = torch.zeros(world.mask.shape, dtype=torch.float64)
    for row, place in itertools.product(range(len(rows)), range(world.mask.shape[1])):
        if place < len(rows[row]):
            prefix = rows[row][:place]
            alike = torch.tensor([other[:place] == prefix for other in rows])
            values[row, place] = (probs * world.rewards)[alike].sum() / probs[alike].sum()
    return values


def test_against_any_critic_the_expected_gradient_is_exact(world: World) -> None:
    estimated = world.gradient(
        expected_sum(world, Ppo(PpoSettings(kind="ppo")), world.by_prefix(7, with_token=False))
    )
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    assert torch.allclose(-estimated, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("trace", [0.0, 0.6])
def test_against_a_true_critic_it_is_exact_at_any_trace(world: World, trace: float) -> None:
    objective = Ppo(PpoSettings(kind="ppo", trace=trace))
    estimated = world.gradient(expected_sum(world, objective, true_values(world)))
    exact = world.gradient((world.log_probs().sum(dim=-1).exp() * world.rewards).sum())
    assert torch.allclose(-estimated, exact, rtol=1e-9, atol=1e-12)


def test_a_hand_worked_advantage(world: World) -> None:
    long = int(world.mask.sum(dim=-1).argmax())
    log_probs = world.log_probs()
    values = torch.tensor([[[0.5, 0.2, 0.4]]], dtype=torch.float64)
    batch = world.batch(
        log_probs, [long], written_log_probs=log_probs.detach()[long][None, None], values=values
    )
    batch = replace(batch, rewards=torch.tensor([[1.0]], dtype=torch.float64))
    loss = Ppo(PpoSettings(kind="ppo", trace=0.5))(batch)
    # d = (0.2 - 0.5, 0.4 - 0.2, 1 - 0.4); A = (-0.3 + 0.5 * 0.5, 0.2 + 0.5 * 0.6, 0.6)
    assert loss.sum.item() == pytest.approx(-(-0.05 + 0.5 + 0.6), abs=1e-12)
    assert loss.diagnostics["advantage_size"] == pytest.approx((1.15, 3.0))


def test_what_the_critic_says_off_the_mask_changes_nothing(world: World) -> None:
    short = int(world.mask.sum(dim=-1).argmin())
    log_probs = world.log_probs()
    written = log_probs.detach()[short][None, None]
    values = [torch.tensor([[[0.5, off, 2 * off]]], dtype=torch.float64) for off in (0.0, 3.0)]
    objective = Ppo(PpoSettings(kind="ppo", trace=0.5))
    losses = [
        objective(world.batch(log_probs, [short], written_log_probs=written, values=value))
        for value in values
    ]
    assert losses[0].sum.item() == losses[1].sum.item() != 0.0
    assert losses[0].diagnostics == losses[1].diagnostics
    size = abs(float(world.rewards[short]) - 0.5)
    assert losses[0].diagnostics["advantage_size"] == (pytest.approx(size, rel=1e-12), 1.0)


def test_a_token_that_has_moved_out_of_bounds_counts_no_further(world: World) -> None:
    log_probs = world.log_probs()
    written = (log_probs.detach() - 1.0)[:1]
    values = torch.full_like(written, -5.0).masked_fill(~world.mask[:1], 0.0)
    batch = world.batch(log_probs, [0], written_log_probs=written[None], values=values[None])
    loss = Ppo(PpoSettings(kind="ppo"))(batch)
    assert not world.gradient(loss.sum + 0.0 * log_probs.sum()).any()
    assert loss.diagnostics["clipped_share"] == (1.0, 1.0)
