"""Keys and values of candidates in the making, which grow by a token at a time.

There are two ways to keep them. Growing ones are seen as far as there are any. Staying ones are
all seen, with room for tokens to come, which a bias hides: so that every token takes the same work
in the same memory, and a recording of it can be run again (CUDA graphs).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import pad

ROOM = 32
"""Tokens that there is room for at first; twice as many whenever it is full."""


class Length:
    """How many tokens candidates have, which only their device knows, and the room for them."""

    def __init__(self, device: torch.device) -> None:
        self.tokens = torch.zeros(1, dtype=torch.int64, device=device)
        """[1]."""
        self.room = ROOM
        """T, as many as there may be."""

    def back(self) -> Tensor:
        """Say how far back from the next token each place is, [T]; below 0 where it is to come."""
        return self.tokens - torch.arange(self.room, device=self.tokens.device)

    def hidden(self, dtype: torch.dtype) -> Tensor:
        """Give what is added to scores, [T]: minus infinity hides what is to come."""
        to_come = self.back() < 0
        return torch.zeros_like(to_come, dtype=dtype).masked_fill_(to_come, -torch.inf)

    def fits(self, length: int) -> bool:
        """Say whether there was room for one more token than so many; there is from now on."""
        if length < self.room:
            return True
        self.room *= 2
        return False


class Keys(ABC):
    """Keys and values of R candidates' tokens.

    Args:
        kept: [2, R, H, room, D].
    """

    def __init__(self, kept: Tensor) -> None:
        self._kept = kept

    @abstractmethod
    def extend(self, newest: Tensor) -> Tensor:
        """Take in the newest tokens' keys and values, [2, R, H, D]; give all, [2, R, H, T, D]."""

    def select(self, rows: Tensor) -> None:
        """Go on with the candidates of these indices, which may repeat."""
        self._kept = self._kept[:, rows]


class GrowingKeys(Keys):
    """Keys and values that are seen as far as there are any.

    Args:
        kept: [2, R, H, room, D] of the tokens so far, and room for more.
        length: T so far.
    """

    def __init__(self, kept: Tensor, length: int = 0) -> None:
        super().__init__(kept)
        self._length = length

    def extend(self, newest: Tensor) -> Tensor:
        """Take in the newest; T is their number so far."""
        if self._length == self._kept.shape[3]:
            self._kept = pad(self._kept, (0, 0, 0, self._length))
        self._kept[:, :, :, self._length] = newest
        self._length += 1
        return self._kept[:, :, :, : self._length]


class StayingKeys(Keys):
    """Keys and values that stay in place.

    Args:
        kept: [2, R, H, room, D], zeros.
        length: of all candidates.
    """

    def __init__(self, kept: Tensor, length: Length) -> None:
        super().__init__(kept)
        self._length = length

    def extend(self, newest: Tensor) -> Tensor:
        """Take in the newest; T is the room there is, with zeros where tokens are to come."""
        missing = self._length.room - self._kept.shape[3]
        if missing:
            self._kept = pad(self._kept, (0, 0, 0, missing))
        return self._kept.index_copy_(3, self._length.tokens, newest.unsqueeze(3))


def new_keys(rows: int, heads: int, width: int, like: Tensor, length: Length | None) -> Keys:
    """Make room for keys and values of R candidates' tokens.

    Args:
        rows: R.
        heads: H.
        width: D.
        like: a tensor of the device and precision to use.
        length: of all candidates, where what is kept is to stay in place.
    """
    if length is None:
        return GrowingKeys(like.new_empty(2, rows, heads, ROOM, width))
    return StayingKeys(like.new_zeros(2, rows, heads, length.room, width), length)
