"""Draws come from the distribution they say."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    EpsilonLogitsWarper,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from goa.decoding.drawing import BLOCK, Mass, draw, truncate, uniforms
from goa.decoding.settings import SampleSettings

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
CHI_SQUARE_LIMITS = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52}
"""The 99.9th percentile by degrees of freedom."""


def _probs(settings: SampleSettings) -> torch.Tensor:
    return truncate(LOGITS[None].clone(), settings)[0].softmax(dim=0)


@pytest.mark.parametrize(
    "settings",
    [
        SampleSettings(kind="sample"),
        SampleSettings(kind="sample", temperature=0.5),
        SampleSettings(kind="sample", top_k=3),
        SampleSettings(kind="sample", top_p=0.8),
        SampleSettings(kind="sample", temperature=2.0, top_k=5, top_p=0.9),
        SampleSettings(kind="sample", min_p=0.2),
        SampleSettings(kind="sample", epsilon=0.1),
        SampleSettings(kind="sample", temperature=3.0, top_p=0.95, min_p=0.3, epsilon=0.15),
    ],
    ids=str,
)
def test_frequencies_are_those_of_the_softmax(settings: SampleSettings) -> None:
    count = 50_000
    noise = uniforms(7, ["x"], count, 1)[:, 0]
    drawn, _ = draw(truncate(LOGITS.expand(count, -1).clone(), settings), noise)
    probs = _probs(settings)
    observed = torch.bincount(drawn, minlength=len(LOGITS)).double()
    expected = probs.double() * count
    possible = probs > 0
    assert observed[~possible].sum() == 0
    statistic = float(((observed - expected) ** 2 / expected)[possible].sum())
    assert statistic < CHI_SQUARE_LIMITS[int(possible.sum()) - 1]


def test_truncation_is_that_of_hand_worked_tables() -> None:
    def kept(settings: SampleSettings) -> list[int]:
        return (_probs(settings) > 0).nonzero().flatten().tolist()

    # Softmax of LOGITS: 0.535, 0.197, 0.119, 0.072, 0.027, 0.004 (after division by their sum).
    assert kept(SampleSettings(kind="sample", top_k=2)) == [0, 1]
    assert kept(SampleSettings(kind="sample", top_p=0.5)) == [0]
    assert kept(SampleSettings(kind="sample", top_p=0.7)) == [0, 1]
    assert kept(SampleSettings(kind="sample", top_p=1.0)) == [0, 1, 2, 3, 4, 5]
    assert kept(SampleSettings(kind="sample", min_p=0.3)) == [0, 1]
    assert kept(SampleSettings(kind="sample", min_p=1.0)) == [0]
    assert kept(SampleSettings(kind="sample", epsilon=0.1)) == [0, 1, 2]
    assert kept(SampleSettings(kind="sample", epsilon=0.9)) == [0]
    # Without the tail the third token is likelier than this.
    assert kept(SampleSettings(kind="sample", top_k=3, epsilon=0.13)) == [0, 1, 2]


@pytest.mark.parametrize(
    "settings",
    [
        {"min_p": 0.05},
        {"epsilon": 0.01},
        {"temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.1, "epsilon": 0.05},
        {"temperature": 0.7, "top_p": 0.6, "epsilon": 0.3},
    ],
    ids=str,
)
def test_truncation_is_that_of_transformers_in_its_order(settings: dict[str, Any]) -> None:
    logits = 3 * torch.randn(500, 60, generator=torch.Generator().manual_seed(1))
    named = {
        "temperature": TemperatureLogitsWarper,
        "top_k": TopKLogitsWarper,
        "top_p": TopPLogitsWarper,
        "min_p": MinPLogitsWarper,
        "epsilon": EpsilonLogitsWarper,
    }
    theirs = logits
    for name, warper in named.items():
        if name in settings:
            theirs = warper(settings[name])(torch.zeros(500, 0), theirs)
    assert torch.equal(truncate(logits, SampleSettings(kind="sample", **settings)), theirs)


@pytest.mark.parametrize("point", [0.0, float(np.nextafter(np.float32(1), np.float32(0)))])
def test_the_ends_of_the_unit_interval_never_draw_what_has_no_mass(point: float) -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]])
    token, _ = draw(logits, torch.tensor([point]))
    assert int(token) in (1, 2)


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 8000])
def test_the_token_is_where_the_cdf_reaches_the_point_in_vocabularies_of_any_size(
    size: int,
) -> None:
    random = torch.Generator().manual_seed(size)
    logits = 3 * torch.randn(200, size, generator=random)
    logits[:, ::3] = -torch.inf
    logits[:, -1] = 1.0
    points = torch.rand(200, generator=random)
    tokens, normaliser = draw(logits, points)
    probs = logits.double().softmax(dim=1)
    above = probs.cumsum(dim=1).gather(1, tokens.unsqueeze(1)).squeeze(1)
    below = above - probs.gather(1, tokens.unsqueeze(1)).squeeze(1)
    assert (below - 1e-5 <= points).all()
    assert (points <= above + 1e-5).all()
    assert (probs.gather(1, tokens.unsqueeze(1)) > 0).all()
    torch.testing.assert_close(normaliser, logits.logsumexp(dim=1))


def test_rounding_at_the_end_of_a_block_draws_nothing_that_has_no_mass() -> None:
    random = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(100, 64 * BLOCK, generator=random)
    logits[:, ::BLOCK] = -torch.inf  # what comes next
    ends = logits.double().softmax(dim=1).cumsum(dim=1)[:, BLOCK - 1 :: BLOCK].float()
    for column in ends.T:
        tokens, _ = draw(logits, column.nextafter(torch.zeros(1)))
        assert logits.gather(1, tokens.unsqueeze(1)).isfinite().all()


def test_blocks_without_mass_are_passed_over() -> None:
    logits = torch.full((3, 4 * BLOCK), -torch.inf)
    logits[:, [BLOCK + 5, 3 * BLOCK]] = 0.0
    tokens, _ = draw(logits, torch.tensor([0.0, 0.5, 0.999999]))
    assert tokens.tolist() == [BLOCK + 5, 3 * BLOCK, 3 * BLOCK]


def test_what_is_removed_is_not_drawn_again_until_nothing_is_left() -> None:
    logits = torch.full((2, BLOCK + 2), -torch.inf)
    logits[:, [3, BLOCK + 1]] = torch.tensor([1.0, 0.0])
    mass, point = Mass(logits), torch.tensor([0.1, 0.9])
    first, whole = mass.find(point)
    assert first.tolist() == [3, BLOCK + 1]
    torch.testing.assert_close(whole, logits.logsumexp(dim=1))
    mass.remove(first)
    second, left = mass.find(point)
    assert second.tolist() == [BLOCK + 1, 3]
    torch.testing.assert_close(left, torch.tensor([0.0, 1.0]))
    mass.remove(second)
    third, nothing = mass.find(point)
    assert (third < BLOCK + 2).all()
    assert (nothing == -torch.inf).all()


def test_randomness_depends_on_seed_key_and_place_alone() -> None:
    both = uniforms(1, ["a", "b"], 3, 4)
    assert torch.equal(both[3:], uniforms(1, ["b"], 3, 4))
    assert not torch.equal(both[:3], both[3:])
    assert not torch.equal(both, uniforms(2, ["a", "b"], 3, 4))
    assert float(both.min()) >= 0.0
    assert float(both.max()) < 1.0
