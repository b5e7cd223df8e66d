"""Decoders that look at a source, laid out for writing the next token."""

from dataclasses import dataclass

from torch import Tensor

from goa.policies.weights import FeedForward, Linear, Norm, RootNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the decoder; H heads of D values each."""

    joint: Linear
    """Queries, keys and values of the candidate so far, 3 * H * D."""
    joint_out: Linear
    joint_norm: Norm | RootNorm
    query: Linear
    """Queries to the source."""
    source: Linear
    """Keys and values of the source, 2 * H * D."""
    source_out: Linear
    source_norm: Norm | RootNorm
    feed: FeedForward
    norm: Norm | RootNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """All that writing the next token takes."""

    embedding: Tensor
    """[V, d]."""
    scale: float
    """Of the embedding."""
    positions: Tensor | None
    """[P, d]; None: the decoder knows distances alone."""
    distances: Tensor | None
    """[N, H] what is added to the scores of tokens so far back; the last stands for all that are
    farther. None: nothing."""
    embedding_norm: Norm | None
    layers: tuple[Layer, ...]
    norms_first: bool
    """Whether what a part of a layer reads is normalised, or else what it gives, added up."""
    last_norm: RootNorm | None
    head: Linear
    num_heads: int
    head_width: int
    score_scale: float
    """Of the products of queries and keys."""
