"""Tokens that count, laid out for what is done token by token, row by row, and source by source."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Packing:
    """N tokens that count, of R rows, the rows source by source: [N] <-> [R, T] <-> [B, Q].

    Q is the most tokens that a source's rows have together.
    """

    rows: Tensor
    """[N] the row of each token."""
    sources: Tensor
    """[N] its source."""
    columns: Tensor
    """[N] its place in the row."""
    places: Tensor
    """[N] its place among those of its source."""

    def __init__(self, mask: Tensor, source_of_row: Tensor, num_sources: int) -> None:
        """Lay tokens out.

        Args:
            mask: [R, T] bool, True for what counts.
            source_of_row: [R] int64, ascending.
            num_sources: B.
        """
        self._mask = mask
        rows, columns = mask.nonzero(as_tuple=True)
        self.rows, self.columns = rows, columns
        self._row_places = rows * mask.shape[1] + columns
        self.sources = sources = source_of_row[rows]
        counts = torch.bincount(sources, minlength=num_sources)
        starts = counts.cumsum(0) - counts
        self.places = torch.arange(len(rows), device=rows.device) - starts[sources]
        self._by_source = (num_sources, int(counts.max()))
        self._source_places = sources * self._by_source[1] + self.places

    def take(self, values: Tensor) -> Tensor:
        """Take what counts, [N, ...], from [R, T, ...]."""
        return take(values.flatten(0, 1), self._row_places)

    def by_row(self, values: Tensor) -> Tensor:
        """Lay [N, ...] out as [R, T, ...], with zeros where nothing counts."""
        return _laid_out(values, self._row_places, self._mask.shape)

    def by_source(self, values: Tensor) -> Tensor:
        """Lay [N, ...] out as [B, Q, ...], with zeros behind the tokens of a source."""
        return _laid_out(values, self._source_places, self._by_source)

    def from_source(self, values: Tensor) -> Tensor:
        """Take [N, ...] from [B, Q, ...]."""
        return take(values.flatten(0, 1), self._source_places)


def take(values: Tensor, places: Tensor) -> Tensor:
    """Take rows [N, ...] from [M, ...], each place once at most, with a gradient that relies on it.

    The gradient of plain indexing adds up, row by row, in case one was taken twice.
    """
    found: Tensor = _Take.apply(values, places)  # type: ignore[no-untyped-call]
    return found


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(values)
        return values.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        whole = gradient.new_zeros(ctx.size, *gradient.shape[1:])
        return whole.index_copy_(0, places, gradient), None


def _laid_out(values: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    blank = values.new_zeros(shape[0] * shape[1], *values.shape[1:])
    return blank.index_copy(0, places, values).view(*shape, *values.shape[1:])
