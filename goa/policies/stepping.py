"""Decoders that look at a source, a token at a time, computed from their weights.

transformers' own step keeps the source's keys and values once for each candidate, and lays the
cache out anew at every token. Here the K candidates of a source share its keys and values, the
cache has room ahead, and queries, keys and values come out of one matrix product.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from goa.policies.attention_cache import attend_source, new_cache
from goa.policies.bart_decoder import read_bart
from goa.policies.places import Places
from goa.policies.source_decoder import Decoder, Layer
from goa.policies.t5_decoder import read_t5
from goa.policies.writing import Writing


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
        self._biases = self._of_distances()
        states = decoder.run(decoder.embed(last, self._length), self)
        self._length += 1
        if decoder.state_scale != 1.0:
            states = states * decoder.state_scale
        self.logits = decoder.head(states).float()

    def select(self, rows: Tensor) -> None:
        """Go on with the candidates of these indices; sources stay in order, indices may repeat."""
        self.logits = self.logits[rows]
        for cache in self._caches:
            cache.select(rows)
        kept = self._places.select(rows)
        if kept is not None:
            self._hidden = self._hidden[kept]
            self._source = [(keys[kept], values[kept]) for keys, values in self._source]

    def attend_joint(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let the newest tokens see the candidate so far."""
        newest = layer.joint(states).view(len(states), 3, *self._shape)
        return layer.joint_out(self._caches[place].attend(newest, self._biases))

    def attend_source(self, place: int, layer: Layer, states: Tensor) -> Tensor:
        """Let the newest tokens see their source."""
        queries = self._places.spread(layer.query(states))
        heads = queries.view(*queries.shape[:2], *self._shape)
        keys, values = self._source[place]
        scale = self._decoder.score_scale
        found = attend_source(heads, keys, values, self._hidden, scale)
        return layer.source_out(self._places.gather(found))

    def _of_distances(self) -> Tensor | None:
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
