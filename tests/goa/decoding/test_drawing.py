"""Draws come from the distribution they say."""

import numpy as np
import pytest
import torch

from goa.decoding.drawing import draw, truncate, uniforms
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
    ],
    ids=str,
)
def test_frequencies_are_those_of_the_softmax(settings: SampleSettings) -> None:
    count = 50_000
    noise = uniforms(7, ["x"], count, 1)[:, 0]
    drawn = draw(truncate(LOGITS.expand(count, -1).clone(), settings), noise)
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


@pytest.mark.parametrize("point", [0.0, float(np.nextafter(np.float32(1), np.float32(0)))])
def test_the_ends_of_the_unit_interval_never_draw_what_has_no_mass(point: float) -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]])
    assert int(draw(logits, torch.tensor([point]))) in (1, 2)


def test_randomness_depends_on_seed_key_and_place_alone() -> None:
    both = uniforms(1, ["a", "b"], 3, 4)
    assert torch.equal(both[3:], uniforms(1, ["b"], 3, 4))
    assert not torch.equal(both[:3], both[3:])
    assert not torch.equal(both, uniforms(2, ["a", "b"], 3, 4))
    assert float(both.min()) >= 0.0
    assert float(both.max()) < 1.0
