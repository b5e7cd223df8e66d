"""Keys and values of R candidates in the making, and what their newest tokens see of them.

A query to few keys is too little work for a matrix product: on a CPU, up to ``SHORT`` tokens,
plain arithmetic over keys laid out token by token takes about half the time. After that, and on a
GPU, the keys of a candidate and head lie together, as fused attention reads them.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from goa.policies.keys import ROOM, GrowingKeys, Keys, Length, new_keys

SHORT = 24
"""Tokens up to which plain arithmetic is faster."""


class AttentionCache(ABC):
    """What is kept of the tokens so far."""

    @abstractmethod
    def attend(self, newest: Tensor, biases: Tensor | None) -> Tensor:
        """Take in the newest tokens, and give what they see of all so far, [R, H * D].

        Args:
            newest: [R, 3, H, D] their queries, keys, values.
            biases: [T, H], or [T, 1], what is added to the scores of tokens.
        """

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Go on with the candidates of these indices, which may repeat."""

    def grown(self) -> "AttentionCache":
        """Give the cache to go on with."""
        return self


def new_cache(
    rows: int, heads: int, width: int, like: Tensor, scale: float, length: Length | None = None
) -> AttentionCache:
    """Make a cache for R candidates, of keys with D values for each of H heads.

    Args:
        rows: R.
        heads: H.
        width: D.
        like: a tensor of the device and precision to use.
        scale: of the products of queries and keys.
        length: of all candidates, where what is kept is to stay in place.
    """
    if length is None and like.device.type == "cpu":
        return _ByToken(like.new_empty(SHORT, 2, rows, heads, width), scale)
    return _ByCandidate(new_keys(rows, heads, width, like, length), scale)


class _ByToken(AttentionCache):
    """[T, 2, R, H, D]."""

    def __init__(self, kept: Tensor, scale: float) -> None:
        self._kept = kept
        self._length = 0
        self._scale = scale

    def attend(self, newest: Tensor, biases: Tensor | None) -> Tensor:
        queries = newest[:, 0]
        self._kept[self._length] = newest[:, 1:].transpose(0, 1)
        self._length += 1
        keys, values = self._kept[: self._length, 0], self._kept[: self._length, 1]
        scores = (keys * queries).sum(dim=-1).mul_(self._scale)
        if biases is not None:
            scores += biases.unsqueeze(1)
        return (values * scores.softmax(dim=0).unsqueeze(-1)).sum(dim=0).flatten(1)

    def select(self, rows: Tensor) -> None:
        kept = self._kept.new_empty(SHORT, 2, len(rows), *self._kept.shape[3:])
        kept[: self._length] = self._kept[: self._length, :, rows]
        self._kept = kept

    def grown(self) -> AttentionCache:
        if self._length < SHORT:
            return self
        laid_out = pad(self._kept.permute(1, 2, 3, 0, 4), (0, 0, 0, ROOM))
        return _ByCandidate(GrowingKeys(laid_out, self._length), self._scale)


class _ByCandidate(AttentionCache):
    def __init__(self, kept: Keys, scale: float) -> None:
        self._kept = kept
        self._scale = scale

    def attend(self, newest: Tensor, biases: Tensor | None) -> Tensor:
        keys, values = self._kept.extend(newest[:, 1:].transpose(0, 1))
        queries = newest[:, 0].unsqueeze(2)
        added = None if biases is None else biases.T[None, :, None].to(queries.dtype)
        found = scaled_dot_product_attention(queries, keys, values, added, scale=self._scale)
        return found.flatten(1)

    def select(self, rows: Tensor) -> None:
        self._kept.select(rows)


def attend_source(
    queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor, scale: float
) -> Tensor:
    """Let K candidates of each of B sources look at their source; gives [B, K, H * D].

    Args:
        queries: [B, K, H, D].
        keys: [B, H, D, S].
        values: [B, H, S, D].
        hidden: [B, 1, 1, S], added to the scores: minus infinity hides a token.
        scale: of the products of queries and keys.
    """
    scores = torch.matmul(queries.transpose(1, 2), keys).mul_(scale)
    found = torch.matmul(scores.add_(hidden).softmax(dim=-1), values)
    return found.transpose(1, 2).flatten(2)
