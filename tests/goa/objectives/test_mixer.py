"""MIXER: what is given is learnt by heart, the rest by reward."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from goa.objectives.contract import Batch
from goa.objectives.mixer import Mixer, MixerSettings
from goa.objectives.ramp import RampSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from tests.goa.objectives.conftest import World

CHOSEN = [13, 20, 27]


def mixed(world: World, prefix: torch.Tensor) -> tuple[Batch, torch.Tensor]:
    """Three candidates with this share of them given, [K, T], and the log-probs of all outputs."""
    log_probs = world.log_probs()
    return replace(world.batch(log_probs, CHOSEN), prefix_mask=prefix[None]), log_probs


def test_the_expected_gradient_is_that_of_the_reward_after_the_prefix(world: World) -> None:
    """Given the first token, over all ways to go on: exact gradient, plus that of the prefix."""
    first = int(world.tokens[13, 0])
    alike = [row for row in range(len(world.tokens)) if int(world.tokens[row, 0]) == first]
    objective = Mixer(MixerSettings(kind="mixer", baseline="none"))
    log_probs = world.log_probs()
    rest = log_probs[alike, 1:].sum(dim=-1)
    assert float(rest.detach().exp().sum()) == pytest.approx(1.0)
    total = torch.zeros((), dtype=torch.float64)
    prefix = torch.tensor([[[True, False, False]]])
    for row, prob in zip(alike, rest.detach().exp(), strict=True):
        batch = replace(world.batch(log_probs, [row]), prefix_mask=prefix)
        total = total + prob * objective(batch).sum
    again = world.log_probs()
    expected = (again[alike, 1:].sum(dim=-1).exp() * world.rewards[alike]).sum()
    exact = world.gradient(expected + again[alike[0], 0])
    assert torch.allclose(-world.gradient(total), exact, rtol=1e-9, atol=1e-12)


def test_without_a_prefix_it_is_reinforce(world: World) -> None:
    batch, _ = mixed(world, torch.zeros(3, 3, dtype=torch.bool))
    plain = Reinforce(ReinforceSettings(kind="reinforce"))(batch)
    assert torch.equal(Mixer(MixerSettings(kind="mixer"))(batch).sum, plain.sum)


def test_a_whole_prefix_is_likelihood(world: World) -> None:
    batch, log_probs = mixed(world, world.mask[CHOSEN])
    loss = Mixer(MixerSettings(kind="mixer"))(batch)
    assert loss.sum.item() == pytest.approx(-log_probs[CHOSEN].sum().item(), abs=1e-12)
    assert loss.diagnostics["prefix_share"][0] == loss.diagnostics["prefix_share"][1]


def test_only_what_was_drawn_has_an_importance_ratio(world: World) -> None:
    prefix = torch.tensor([[True, False, False]] * 3)
    batch, log_probs = mixed(world, prefix)
    written = log_probs.detach()[CHOSEN] - torch.tensor([5.0, 0.1, 0.0])
    batch = replace(batch, written_log_probs=written.masked_fill(~world.mask[CHOSEN], 0.0)[None])
    diagnostics = Mixer(MixerSettings(kind="mixer"))(batch).diagnostics
    num_tokens = float(world.mask[CHOSEN].sum())
    assert diagnostics["advantage_size"][1] == num_tokens - 3
    assert diagnostics["prefix_share"] == (3.0, num_tokens)
    ratio, count = diagnostics["importance_ratio"]
    assert ratio / count == pytest.approx(float(torch.tensor(0.1).exp()), rel=1e-6)


def test_a_share_over_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="between 0 and 1"):
        MixerSettings(kind="mixer", prefix=RampSettings(start=1.2, end=0.0, rounds=3))


def test_it_asks_for_a_prefix_and_for_what_its_baseline_looks_at() -> None:
    objective = Mixer(MixerSettings(kind="mixer", baseline="critic"))
    assert objective.needs == {"draws", "critic", "prefix"}


def test_a_prefix_may_be_the_whole_reference() -> None:
    ramp = RampSettings(start=1.0, end=0.5, rounds=3)
    assert MixerSettings(kind="mixer", prefix=ramp).prefix == ramp
