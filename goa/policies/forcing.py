"""Teacher forcing of decoders that look at a source, computed from their weights.

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

from goa.policies.packing import Packing
from goa.policies.source_decoder import Decoder, Layer
from goa.policies.stepping import read_decoder
from goa.policies.tokens import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Chances that a value is dropped; what stays is scaled up."""

    states: float
    attention: float
    activation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forcing:
    """One pass over given tokens."""

    decoder: Decoder
    packing: Packing
    encoded: Tensor
    """[B, S, d] the encoder's states."""
    heard: Tensor
    """[B, 1, 1, S] bool, True for the tokens of a source."""
    biases: Tensor | None
    """[H, T, T] what is added to the scores of a candidate's tokens, minus infinity for those to
    come; None: nothing but that."""
    dropout: Dropout

    def states(self, before: Tensor) -> Tensor:
        """Give the decoder's last states, [N, d], that each token that counts is chosen from.

        Args:
            before: [N] the token before each, the start token before the first.
        """
        states = self._dropped(self.decoder.embed(before, self.packing.columns))
        return self.decoder.run(states, self, self._dropped, self._inner_dropped)

    def _dropped(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout.states)

    def _inner_dropped(self, inner: Tensor) -> Tensor:
        return functional.dropout(inner, self.dropout.activation)

    def attend_joint(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let tokens see those of their candidate before them, and themselves."""
        del place
        queries, keys, values = self._heads(self.packing.by_row(layer.joint(states)), 3)
        found = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=self.biases,
            is_causal=self.biases is None,
            dropout_p=self.dropout.attention,
            scale=self.decoder.score_scale,
        )
        return layer.joint_out(self.packing.take(found.transpose(1, 2).flatten(2)))

    def attend_source(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let tokens see their source."""
        del place
        (queries,) = self._heads(self.packing.by_source(layer.query(states)), 1)
        keys, values = self._heads(layer.source(self.encoded), 2)
        found = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=self.heard,
            dropout_p=self.dropout.attention,
            scale=self.decoder.score_scale,
        )
        return layer.source_out(self.packing.from_source(found.transpose(1, 2).flatten(2)))

    def _heads(self, joined: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Part [X, Y, parts * d] into parts of [X, H, Y, D]."""
        shape = (*joined.shape[:2], parts, self.decoder.num_heads, -1)
        return joined.view(shape).permute(2, 0, 3, 1, 4).unbind(0)


def read_forcing(
    model: PreTrainedModel, dtype: torch.dtype, encoded: Tensor, mask: Tensor, targets: Targets
) -> Forcing | None:
    """Make a pass ready; None if the decoder is not of the kind, or drops what we would not.

    Args:
        model: whose weights are to be used as they are now, with gradient.
        dtype: of matrix products.
        encoded: [B, S, d] the encoder's states.
        mask: [B, S] bool, True for the tokens of a source.
        targets: the given tokens.
    """
    decoder = read_decoder(model, dtype)
    dropout = _read_dropout(model)
    if decoder is None or dropout is None:
        return None
    return Forcing(
        decoder=decoder,
        packing=Packing(targets.mask, targets.sources, len(encoded)),
        encoded=encoded,
        heard=mask[:, None, None],
        biases=_biases(decoder, targets.mask.shape[1]),
        dropout=dropout,
    )


def _read_dropout(model: PreTrainedModel) -> Dropout | None:
    """Read what is dropped as the model is now; None: it is more than is known here."""
    if not model.training:
        return Dropout(states=0.0, attention=0.0, activation=0.0)
    decoder: Any = model.get_decoder()
    if getattr(decoder, "layerdrop", 1.0) > 0.0:
        return None
    layer = decoder.layers[0]
    return Dropout(
        states=layer.dropout,
        attention=layer.self_attn.dropout,
        activation=layer.activation_dropout,
    )


def _biases(decoder: Decoder, width: int) -> Tensor | None:
    if decoder.distances is None:
        return None
    places = torch.arange(width, device=decoder.distances.device)
    back = places.unsqueeze(1) - places
    found = decoder.distances[back.clamp(0, len(decoder.distances) - 1)]
    added = found.masked_fill((back < 0).unsqueeze(2), -torch.inf).permute(2, 0, 1)
    return added.to(decoder.head.weight.dtype)
