"""Teacher forcing of decoders of Marian's and BART's kind, computed from their weights.

transformers' own pass wants the source's states once for each candidate, and computes padding like
anything else. Here a source's keys and values are computed once for all its candidates, forward and
backward, and what is done token by token is done for tokens that count alone.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from goa.policies.stepping import Decoder, Layer, read_decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Chances that a value is dropped; what stays is scaled up."""

    states: float
    attention: float
    activation: float


class Packing:
    """N tokens that count, of R rows, the rows source by source: [N] <-> [R, T] <-> [B, Q].

    Q is the most tokens that a source's rows have together.
    """

    def __init__(self, mask: Tensor, source_of_row: Tensor, num_sources: int) -> None:
        """Lay tokens out.

        Args:
            mask: [R, T] bool, True for what counts.
            source_of_row: [R] int64, ascending.
            num_sources: B.
        """
        self._mask = mask
        rows, self.columns = mask.nonzero(as_tuple=True)
        self._row_places = rows * mask.shape[1] + self.columns
        sources = source_of_row[rows]
        counts = torch.bincount(sources, minlength=num_sources)
        within = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[sources]
        self._by_source = (num_sources, int(counts.max()))
        self._source_places = sources * self._by_source[1] + within

    def take(self, values: Tensor) -> Tensor:
        """Take what counts, [N, ...], from [R, T, ...]."""
        return values.flatten(0, 1)[self._row_places]

    def by_row(self, values: Tensor) -> Tensor:
        """Lay [N, ...] out as [R, T, ...], with zeros where nothing counts."""
        return _laid_out(values, self._row_places, self._mask.shape)

    def by_source(self, values: Tensor) -> Tensor:
        """Lay [N, ...] out as [B, Q, ...], with zeros behind the tokens of a source."""
        return _laid_out(values, self._source_places, self._by_source)

    def from_source(self, values: Tensor) -> Tensor:
        """Take [N, ...] from [B, Q, ...]."""
        return values.flatten(0, 1)[self._source_places]


def _laid_out(values: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    blank = values.new_zeros(shape[0] * shape[1], *values.shape[1:])
    return blank.index_copy(0, places, values).view(*shape, *values.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Forcing:
    """One pass over given tokens."""

    decoder: Decoder
    packing: Packing
    heard: Tensor
    """[B, 1, 1, S] bool, True for the tokens of a source."""
    dropout: Dropout

    def states(self, encoded: Tensor, before: Tensor) -> Tensor:
        """Give the decoder's last states, [N, d], that each token that counts is chosen from.

        Args:
            encoded: [B, S, d] the encoder's states.
            before: [N] the token before each, the start token before the first.
        """
        decoder = self.decoder
        found = functional.embedding(before, decoder.embedding, padding_idx=decoder.still_id)
        states = found * decoder.scale + decoder.positions[self.packing.columns]
        if decoder.embedding_norm is not None:
            states = decoder.embedding_norm(states)
        states = self._dropped(states)
        for layer in decoder.layers:
            states = layer.joint_norm(states + self._dropped(self._attend_joint(layer, states)))
            found = self._attend_source(layer, encoded, states)
            states = layer.source_norm(states + self._dropped(found))
            inner = layer.activation(layer.inner(states))
            inner = functional.dropout(inner, self.dropout.activation)
            states = layer.norm(states + self._dropped(layer.outer(inner)))
        return states

    def _dropped(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout.states)

    def _attend_joint(self, layer: Layer, states: Tensor) -> Tensor:
        queries, keys, values = self._heads(self.packing.by_row(layer.joint(states)), 3)
        found = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=True, dropout_p=self.dropout.attention
        )
        return layer.joint_out(self.packing.take(found.transpose(1, 2).flatten(2)))

    def _attend_source(self, layer: Layer, encoded: Tensor, states: Tensor) -> Tensor:
        (queries,) = self._heads(self.packing.by_source(layer.query(states)), 1)
        keys, values = self._heads(layer.source(encoded), 2)
        found = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=self.heard, dropout_p=self.dropout.attention
        )
        return layer.source_out(self.packing.from_source(found.transpose(1, 2).flatten(2)))

    def _heads(self, joined: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Part [X, Y, parts * d] into parts of [X, H, Y, D]."""
        shape = (*joined.shape[:2], parts, self.decoder.num_heads, -1)
        return joined.view(shape).permute(2, 0, 3, 1, 4).unbind(0)


def read_forcing(
    model: PreTrainedModel, dtype: torch.dtype, packing: Packing, mask: Tensor
) -> Forcing | None:
    """Make a pass ready; None if the decoder is not of the kind, or drops whole layers.

    Args:
        model: whose weights are to be used as they are now, with gradient.
        dtype: of matrix products.
        packing: of the given tokens.
        mask: [B, S] bool, True for the tokens of a source.
    """
    decoder = read_decoder(model, dtype)
    if decoder is None:
        return None
    dropout = Dropout(states=0.0, attention=0.0, activation=0.0)
    if model.training:
        module: Any = model.get_decoder()
        if module.layerdrop > 0.0:
            return None
        layer = module.layers[0]
        dropout = Dropout(
            states=layer.dropout,
            attention=layer.self_attn.dropout,
            activation=layer.activation_dropout,
        )
    return Forcing(decoder=decoder, packing=packing, heard=mask[:, None, None], dropout=dropout)
