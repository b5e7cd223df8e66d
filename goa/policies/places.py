"""Where candidates stand among those of their source."""

import torch
from torch import Tensor


class Places:
    """Where each of R candidates stands among those of its source, [B, K] with gaps."""

    def __init__(self, size: int, num_candidates: int, device: torch.device) -> None:
        self._shape = (size, num_candidates)
        self._slots: Tensor = torch.arange(size * num_candidates, device=device)
        self._has_gaps = False

    def spread(self, rows: Tensor) -> Tensor:
        """Lay [R, d] out as [B, K, d]; what stands in gaps is of no interest."""
        if not self._has_gaps:
            return rows.view(*self._shape, -1)
        size, num_slots = self._shape
        laid_out = rows.new_zeros(size * num_slots, rows.shape[1])
        laid_out[self._slots] = rows
        return laid_out.view(size, num_slots, -1)

    def gather(self, laid_out: Tensor) -> Tensor:
        """Take [R, d] from [B, K, d]."""
        rows = laid_out.reshape(-1, laid_out.shape[-1])
        return rows[self._slots] if self._has_gaps else rows

    def select(self, rows: Tensor) -> Tensor | None:
        """Go on with some candidates; gives the sources that are left, None if all are.

        Args:
            rows: whom; candidates of one source stay neighbours, sources in order, and a candidate
                may go on as several.
        """
        sources = self._slots[rows] // self._shape[1]
        kept, place, counts = torch.unique_consecutive(
            sources, return_inverse=True, return_counts=True
        )
        num_slots = int(counts.max())
        starts = counts.cumsum(0) - counts
        within = torch.arange(len(rows), device=rows.device) - starts[place]
        all_left = len(kept) == self._shape[0]
        self._shape = (len(kept), num_slots)
        self._slots = place * num_slots + within
        self._has_gaps = len(rows) < len(kept) * num_slots
        return None if all_left else kept
