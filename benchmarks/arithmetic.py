"""Floating-point operations that a round of fine-tuning needs, and what a machine can do of them.

A product of [m, k] and [k, n] counts 2 m k n; norms, softmax and activations are left out. What is
counted is the least that a round can do with: each source is read once for the draws and once for
the update, padding is free, and a token attends to those before it alone. The update is three times
its way forward, since the way back has two products for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.harness import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of an encoder-decoder of Marian's and BART's shape."""

    width: int
    """d."""
    inner: tuple[int, int]
    """Width of the feed-forward layers, of encoder and decoder."""
    layers: tuple[int, int]
    """Of encoder and decoder."""
    vocab: int
    """V."""


def sizes_of(config: Any) -> Sizes:
    """Read the sizes from a model's configuration."""
    return Sizes(
        width=config.d_model,
        inner=(config.encoder_ffn_dim, config.decoder_ffn_dim),
        layers=(config.encoder_layers, config.decoder_layers),
        vocab=config.vocab_size,
    )


def forward_operations(
    sizes: Sizes, sources: Sequence[int], candidates: Sequence[Sequence[int]]
) -> int:
    """Count the operations of one way forward.

    Args:
        sizes: of the model.
        sources: tokens of each source, [B].
        candidates: tokens of each source's candidates, end tokens included, [B][K].
    """
    return sum(
        _encoder(sizes, length) + sum(_decoder(sizes, length, written) for written in row)
        for length, row in zip(sources, candidates, strict=True)
    )


def round_operations(
    sizes: Sizes, sources: Sequence[int], candidates: Sequence[Sequence[int]]
) -> int:
    """Count the operations of drawing candidates and of an update on them."""
    return 4 * forward_operations(sizes, sources, candidates)


def product_side(device: str) -> Side:
    """Give a side that multiplies two large float32 matrices, and notes its "operations"."""
    size = 8192 if device == "cuda" else 2048
    left, right = torch.rand(size, size, device=device), torch.rand(size, size, device=device)

    def multiply(seed: int) -> dict[str, float]:
        del seed
        torch.mm(left, right)
        return {"operations": 2 * size**3}

    return Side(work=multiply)


def _encoder(sizes: Sizes, length: int) -> int:
    """Count what a source of so many tokens needs, its keys and values for the decoder included."""
    width, inner = sizes.width, sizes.inner[0]
    layer = 8 * length * width**2 + 4 * length**2 * width + 4 * length * width * inner
    return sizes.layers[0] * layer + sizes.layers[1] * 4 * length * width**2


def _decoder(sizes: Sizes, length: int, written: int) -> int:
    """Count what a candidate of so many tokens needs for a source of so many."""
    width, inner = sizes.width, sizes.inner[1]
    # 8 d^2 for queries, keys, values and what comes out; 4 d^2 for queries to the source.
    products = written * (12 * width**2 + 4 * width * inner)
    attention = 2 * written * (written + 1) * width + 4 * written * length * width
    return sizes.layers[1] * (products + attention) + 2 * written * width * sizes.vocab
