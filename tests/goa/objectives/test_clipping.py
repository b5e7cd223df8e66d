"""The clipped surrogate against a table worked by hand."""

import torch

from goa.objectives.clipping import ClippingSettings, clipped_gain
from goa.objectives.contract import Batch


def test_a_ratio_counts_only_as_far_as_the_bounds_where_that_is_less() -> None:
    mask = torch.tensor([[[True, True, True, False], [True, True, True, False]]])
    written = torch.full(mask.shape, -3.0, dtype=torch.float64).masked_fill(~mask, 0.0)
    ratio = torch.tensor([0.5, 1.0, 2.0, 9.0], dtype=torch.float64)
    batch = Batch(
        mask=mask,
        log_probs=written + ratio.log(),
        mean_log_probs=written,
        written_log_probs=written,
    )
    advantages = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    settings = ClippingSettings(clip_below=0.25, clip_above=0.5)
    gain, outside = clipped_gain(batch, advantages, settings)
    expected = torch.tensor([[[0.5, 1.0, 1.5, 0.0], [-0.75, -1.0, -2.0, 0.0]]])
    assert torch.allclose(gain, expected.double(), rtol=1e-12)
    assert outside == (4.0, 6.0)
