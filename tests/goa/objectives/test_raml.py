"""Reward-weighted likelihood against the exact divergence from its target."""

import math

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.raml import Raml, RamlSettings
from tests.goa.objectives.conftest import World


@pytest.mark.parametrize("base", ["pretrained", "uniform"])
def test_over_all_outputs_it_is_the_likelihood_under_the_target(world: World, base: str) -> None:
    everything = range(len(world.tokens))
    # Each output once: as if they had been drawn from the uniform distribution.
    drawn = torch.zeros_like(world.pretrained)[None]
    objective = Raml(RamlSettings(kind="raml", temperature=0.2, base=base))  # type: ignore[arg-type]
    loss = objective(world.batch(world.log_probs(), everything, written_log_probs=drawn))
    target = (world.rewards / 0.2).exp()
    if base == "pretrained":
        target = target * world.pretrained.sum(dim=-1).exp()
    target = target / target.sum()
    exact = world.gradient(-(target * world.log_probs().sum(dim=-1)).sum())
    assert torch.allclose(world.gradient(loss.sum), exact, rtol=1e-9, atol=1e-12)


def test_what_the_writer_liked_counts_less(world: World) -> None:
    written = torch.zeros(1, 2, world.tokens.shape[1], dtype=torch.float64)
    written[0, 0, 0] = torch.tensor(3.0, dtype=torch.float64).log()
    world.rewards[:] = 0.5
    log_probs = world.log_probs().detach()
    objective = Raml(RamlSettings(kind="raml", base="uniform"))
    loss = objective(world.batch(log_probs, [4, 9], written_log_probs=written))
    expected = -(log_probs[4].sum() + 3 * log_probs[9].sum()) / 4
    assert float(loss.sum) == pytest.approx(float(expected), rel=1e-12)
    assert loss.diagnostics["effective_candidates"][0] == pytest.approx(1 / (1 / 16 + 9 / 16))


def test_weights_are_those_of_a_sources_own_candidates() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-4.0, -8.0]]).unsqueeze(-1)
    alike = torch.zeros(2, 2, 1)
    batch = Batch(
        mask=torch.ones(2, 2, 1, dtype=torch.bool),
        log_probs=log_probs,
        mean_log_probs=log_probs,
        written_log_probs=alike,
        pretrained_log_probs=alike,
        # The second's first weighs e^(0.25 / 0.25) times as much as its second.
        rewards=torch.tensor([[0.5, 0.5], [0.75, 0.5]]),
    )
    objective = Raml(RamlSettings(kind="raml", temperature=0.25))
    loss = objective(batch)
    better = math.e / (1 + math.e)
    assert float(loss.sum) == pytest.approx(1.5 + better * 4 + (1 - better) * 8, rel=1e-6)
    effective = 2 + 1 / (better**2 + (1 - better) ** 2)
    assert loss.diagnostics == {"effective_candidates": (pytest.approx(effective, rel=1e-6), 2.0)}
    assert objective.weigh(batch.mask, batch.rewards) == 2.0
