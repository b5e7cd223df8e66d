"""What policies take and give: padded batches of token ids, and what they say of each token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

WantedEntropy = Literal["none", "value", "gradient"]
"""Whether to compute entropies, one more pass over the vocabulary, and whether with gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A padded batch of token ids."""

    ids: Tensor
    """[B, S] int64; padding where the mask is False."""
    mask: Tensor
    """[B, S] bool; True = counts."""
    offsets: Tensor | None = None
    """[B, S, d] what is added to the embeddings of a source's tokens; None: nothing."""

    def __getitem__(self, rows: slice | Tensor) -> "Tokens":
        """Take some rows, without the columns that are padding in all of them."""
        columns = self.mask[rows].any(dim=0)
        return Tokens(
            ids=self.ids[rows][:, columns],
            mask=self.mask[rows][:, columns],
            offsets=None if self.offsets is None else self.offsets[rows][:, columns],
        )


def padded(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device, *, left: bool
) -> Tokens:
    """Lay rows of ids out as a batch, [N, longest row], padded at the right or at the left."""
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.arange(width) < lengths.unsqueeze(1)
    if left:
        mask = mask.flip(1)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return Tokens(ids=ids.to(device), mask=mask.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """R candidates of B sources, source by source; a source may have any number of them."""

    ids: Tensor
    """[R, T] int64."""
    mask: Tensor
    """[R, T] bool, True for the tokens of a candidate, which come first."""
    sources: Tensor
    """[R] int64, ascending: which source each is of."""


def first_alike(tokens: Tensor, mask: Tensor) -> Tensor:
    """Find for each of K candidates the first of its source that has the same tokens, [B, K].

    Args:
        tokens: [B, K, T].
        mask: [B, K, T].
    """
    tokens = tokens.masked_fill(~mask, -1)
    same = (tokens.unsqueeze(2) == tokens.unsqueeze(1)).all(dim=-1)
    return same.to(torch.uint8).argmax(dim=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """What a policy says of given tokens, position by position; zero where the mask is False."""

    log_probs: Tensor
    """[B, K, T] log-probability of each token given the source and the tokens before it."""
    mean_log_probs: Tensor
    """[B, K, T] log-probability averaged over the vocabulary: the label-smoothing term."""
    entropy: Tensor | None
    """[B, K, T] entropy of the next-token distribution, in nats; None where not asked for."""
    states: Tensor | None
    """[B, K, T, d] the decoder's last hidden states that each token is chosen from; None where not
    asked for."""
