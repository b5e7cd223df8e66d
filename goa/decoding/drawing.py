"""Choosing the next token: inverse-CDF draws from logits."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from goa.decoding.settings import SampleSettings
from goa.randomness import generator

BLOCK = 128
"""Tokens that are summed up together."""


def uniforms(seed: int, keys: Sequence[str], num_candidates: int, num_tokens: int) -> Tensor:
    """Draw the randomness of B sources ahead, [B * K, T] in [0, 1).

    Each row depends only on the seed, the source's key and its place among the K candidates: a
    source gets the same candidates in any batch, in any order.
    """
    shape = (num_candidates, num_tokens)
    rows = [generator(seed, "draw", key).random(shape, dtype=np.float32) for key in keys]
    return torch.from_numpy(np.concatenate(rows))


def truncate(logits: Tensor, settings: SampleSettings) -> Tensor:
    """Apply temperature, then what cuts tails off, to logits [R, V]; what is cut becomes -inf.

    In the order of transformers: top-k, top-p, min-p, epsilon; each looks at the distribution that
    the one before has left.
    """
    if settings.temperature != 1.0:
        logits = logits / settings.temperature
    if settings.top_k is not None and settings.top_k < logits.shape[-1]:
        lowest_kept = logits.topk(settings.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < lowest_kept, -torch.inf)
    if settings.top_p is not None and settings.top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True)
        probs = ordered.softmax(dim=-1)
        # A token goes when those before it already reach the mass, so the first always stays.
        cut = probs.cumsum(dim=-1) - probs >= settings.top_p
        logits = logits.masked_fill(cut.scatter(-1, order, cut), -torch.inf)
    if settings.min_p is not None and settings.min_p > 0.0:
        lowest_kept = logits.amax(dim=-1, keepdim=True) + math.log(settings.min_p)
        logits = logits.masked_fill(logits < lowest_kept, -torch.inf)
    if settings.epsilon is not None:
        lowest_kept = logits.logsumexp(dim=-1, keepdim=True) + math.log(settings.epsilon)
        lowest_kept = lowest_kept.minimum(logits.amax(dim=-1, keepdim=True))
        logits = logits.masked_fill(logits < lowest_kept, -torch.inf)
    return logits


class Mass:
    """Unnormalised probabilities of R rows of tokens, to draw from by inverting the CDF.

    First the block of tokens is found, then the token in it: only one block a row is summed up
    token by token. ``torch.multinomial`` takes about 15 times as long on a CPU.
    """

    def __init__(self, logits: Tensor) -> None:
        """Take logits, [R, V]."""
        num_rows, size = logits.shape
        num_blocks = -(-size // BLOCK)
        top = logits.amax(dim=-1, keepdim=True)
        mass = logits.new_empty(num_rows, num_blocks * BLOCK)
        mass[:, size:].zero_()
        torch.sub(logits, top, out=mass[:, :size]).exp_()
        self._blocks = mass.view(num_rows, num_blocks, BLOCK)
        self._sums = self._blocks.sum(dim=-1)
        self._rows = torch.arange(num_rows, device=logits.device)
        self._top = top.squeeze(1)
        self._last = size - 1

    def find(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Draw one token per row at points of the unit interval, [R].

        Returns the tokens, [R] int64, and the log of what all tokens that are left have, [R].
        """
        reached = self._sums.cumsum(dim=-1)
        total = reached[:, -1:]
        point = uniform.to(total.dtype).unsqueeze(1) * total
        block = _first_above(reached, point)
        before = reached.gather(1, (block - 1).clamp(min=0)).masked_fill(block == 0, 0.0)
        within = self._blocks[self._rows, block.squeeze(1)].cumsum(dim=-1)
        token = block * BLOCK + _first_above(within, point - before)
        token = token.clamp(max=self._last)  # behind it there is no mass, where there is any
        return token.squeeze(1), self._top + total.log().squeeze(1)

    def remove(self, tokens: Tensor) -> None:
        """Let one token of each row, [R], not be drawn again."""
        block = tokens // BLOCK
        self._blocks[self._rows, block, tokens % BLOCK] = 0.0
        self._sums[self._rows, block] = self._blocks[self._rows, block].sum(dim=-1)


def draw(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draw one token per row of logits [R, V] by inverting the CDF at uniform [R].

    Returns the tokens, [R] int64, and the normaliser ``log sum exp`` of the logits, [R].
    """
    return Mass(logits).find(uniform)


def _first_above(sums: Tensor, point: Tensor) -> Tensor:
    """Find in each row of running sums [R, N] the first that exceeds its point [R, 1]."""
    last = sums[:, -1:]
    # A point that rounding took up to the last sum is put right below it. right=True passes over
    # what adds nothing, such as tokens without mass.
    point = torch.minimum(point, last.nextafter(last.new_zeros(1)))
    # Where no mass is left, nothing exceeds anything.
    return torch.searchsorted(sums, point, right=True).clamp(max=sums.shape[1] - 1)
