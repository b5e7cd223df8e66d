"""Decoders that look at a source, laid out as their weights and the order they are applied in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor
from torch.nn import functional

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


class Attending(Protocol):
    """How tokens see those before them, and their source."""

    def attend_joint(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let tokens in the layer of this place, from 0, see the candidate so far."""

    def attend_source(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let tokens in the layer of this place, from 0, see their source."""


Drop = Callable[[Tensor], Tensor]


def keep(states: Tensor) -> Tensor:
    """Drop nothing."""
    return states


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """All that writing the next token takes."""

    embedding: Tensor
    """[V, d]."""
    still_id: int | None
    """The token whose embedding is not learnt as such, padding."""
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
    state_scale: float
    """Of the last states, before the head."""
    head: Linear
    num_heads: int
    head_width: int
    score_scale: float
    """Of the products of queries and keys."""

    def embed(self, tokens: Tensor, places: Tensor | int) -> Tensor:
        """Give what the first layer reads of tokens [N] in these places, from 0: [N, d]."""
        states = functional.embedding(tokens, self.embedding, padding_idx=self.still_id)
        if self.positions is not None:
            states = states * self.scale + self.positions[places]
        return states if self.embedding_norm is None else self.embedding_norm(states)

    def run(
        self,
        states: Tensor,
        attending: Attending,
        drop: Drop = keep,
        drop_inner: Drop = keep,
    ) -> Tensor:
        """Take tokens through all layers, [N, d].

        Args:
            states: [N, d] of the first layer.
            attending: how they see others.
            drop: applied to what each part of a layer gives.
            drop_inner: applied between the matrix products of a feed-forward part.
        """
        for place, layer in enumerate(self.layers):
            parts = (
                (layer.joint_norm, partial(attending.attend_joint, place, layer)),
                (layer.source_norm, partial(attending.attend_source, place, layer)),
                (layer.norm, partial(layer.feed, drop_inner=drop_inner)),
            )
            for norm, part in parts:
                if self.norms_first:
                    states = states + drop(part(norm(states)))
                else:
                    states = norm(states + drop(part(states)))
        return states if self.last_norm is None else self.last_norm(states)
