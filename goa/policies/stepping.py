"""Decoders that look at a source, a token at a time, computed from their weights.

transformers' own step keeps the source's keys and values once for each candidate, and lays the
cache out anew at every token. Here the K candidates of a source share its keys and values, the
cache has room ahead, and queries, keys and values come out of one matrix product.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from goa.policies.attention_cache import AttentionCache, attend_source, new_cache
from goa.policies.bart_decoder import read_bart
from goa.policies.places import Places
from goa.policies.policy import Writing
from goa.policies.source_decoder import Decoder, Layer
from goa.policies.t5_decoder import read_t5


def read_decoder(model: PreTrainedModel, dtype: torch.dtype) -> Decoder | None:
    """Lay out a model's decoder; None if it is of no known kind, or not made of plain layers.

    Args:
        model: whose weights are to be used as they are now.
        dtype: of matrix products.
    """
    return read_bart(model, dtype) or read_t5(model, dtype)


class Stepper(Writing):
    """R candidates in the making, of B sources; those of one source are neighbours.

    Args:
        decoder: who writes.
        encoded: [B, S, d] the encoder's states.
        mask: [B, S] bool, True for the tokens of a source.
        num_candidates: K of each source at first, R = B * K.
        start_id: the token before the first.
    """

    def __init__(
        self, decoder: Decoder, encoded: Tensor, mask: Tensor, num_candidates: int, start_id: int
    ) -> None:
        self._decoder = decoder
        self._length = 0
        rows = len(encoded) * num_candidates
        self._shape = (decoder.num_heads, decoder.head_width)
        self._places = Places(len(encoded), num_candidates, encoded.device)
        like = encoded.new_empty(0, dtype=decoder.head.weight.dtype)
        self._hidden = like.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None]
        self._source = [self._source_keys(layer, encoded) for layer in decoder.layers]
        self._caches = [
            new_cache(rows, *self._shape, like, decoder.score_scale) for _ in decoder.layers
        ]
        self.advance(torch.full((rows,), start_id, device=encoded.device))

    def advance(self, last: Tensor) -> None:
        """Take the tokens that were chosen, [R], and compute the logits of the next."""
        decoder = self._decoder
        self._caches = [cache.grown() for cache in self._caches]
        hidden, biases = self._embed(last), self._biases()
        for layer, cache, source in zip(decoder.layers, self._caches, self._source, strict=True):
            if decoder.norms_first:
                newest = layer.joint_norm(hidden)
                hidden = hidden + self._attend_joint(layer, cache, newest, biases)
                hidden = hidden + self._attend_source(layer, source, layer.source_norm(hidden))
                hidden = hidden + layer.feed(layer.norm(hidden))
            else:
                found = self._attend_joint(layer, cache, hidden, biases)
                hidden = layer.joint_norm(hidden + found)
                hidden = layer.source_norm(hidden + self._attend_source(layer, source, hidden))
                hidden = layer.norm(hidden + layer.feed(hidden))
        if decoder.last_norm is not None:
            hidden = decoder.last_norm(hidden)
        self._length += 1
        self.logits = decoder.head(hidden).float()

    def select(self, rows: Tensor) -> None:
        """Go on with the candidates of these indices; sources stay in order, indices may repeat."""
        self.logits = self.logits[rows]
        for cache in self._caches:
            cache.select(rows)
        kept = self._places.select(rows)
        if kept is not None:
            self._hidden = self._hidden[kept]
            self._source = [(keys[kept], values[kept]) for keys, values in self._source]

    def _embed(self, last: Tensor) -> Tensor:
        decoder = self._decoder
        hidden = decoder.embedding[last]
        if decoder.positions is not None:
            hidden = hidden * decoder.scale + decoder.positions[self._length]
        return hidden if decoder.embedding_norm is None else decoder.embedding_norm(hidden)

    def _biases(self) -> Tensor | None:
        """Give what is added to the scores of the tokens so far, [T, H]."""
        distances = self._decoder.distances
        if distances is None:
            return None
        back = torch.arange(self._length, -1, -1, device=distances.device)
        return distances[back.clamp_(max=len(distances) - 1)]

    def _source_keys(self, layer: Layer, encoded: Tensor) -> tuple[Tensor, Tensor]:
        size, length, _ = encoded.shape
        both = layer.source(encoded).view(size, length, 2, *self._shape)
        keys, values = both.permute(2, 0, 3, 1, 4)
        return keys.transpose(2, 3).contiguous(), values.contiguous()

    def _attend_joint(
        self, layer: Layer, cache: AttentionCache, hidden: Tensor, biases: Tensor | None
    ) -> Tensor:
        newest = layer.joint(hidden).view(len(hidden), 3, *self._shape)
        return layer.joint_out(cache.attend(newest, biases))

    def _attend_source(self, layer: Layer, source: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        queries = self._places.spread(layer.query(hidden))
        heads = queries.view(*queries.shape[:2], *self._shape)
        found = attend_source(heads, *source, self._hidden, self._decoder.score_scale)
        return layer.source_out(self._places.gather(found))
