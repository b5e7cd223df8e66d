"""Tokens that count, laid out and back."""

import torch

from goa.policies.packing import Packing


def test_packing_lays_tokens_out_by_row_and_by_source_and_back() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=torch.bool)
    packing = Packing(mask, torch.tensor([0, 2, 2, 2]), 4)
    values = torch.arange(1.0, 8).unsqueeze(1)
    by_row, by_source = packing.by_row(values), packing.by_source(values)
    assert by_row.squeeze(2).tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6], [7, 0, 0]]
    assert by_source.squeeze(2).tolist() == [[1, 2, 0, 0, 0], [0] * 5, [3, 4, 5, 6, 7], [0] * 5]
    assert torch.equal(packing.take(by_row), values)
    assert torch.equal(packing.from_source(by_source), values)
    assert packing.columns.tolist() == [0, 1, 0, 0, 1, 2, 0]
    assert packing.rows.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert packing.places.tolist() == [0, 1, 0, 1, 2, 3, 4]
    assert packing.sources.tolist() == [0, 0, 2, 2, 2, 2, 2]
