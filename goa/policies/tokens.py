"""What policies take and give: padded batches of token ids, and what they say of each token."""

from dataclasses import dataclass
from typing import Literal

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
    """[B, K, T, d] the decoder's last hidden states that each token is chosen from, not masked;
    None where not asked for."""
