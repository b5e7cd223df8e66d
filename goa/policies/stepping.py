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
from goa.policies.keys import Length
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
        in_place: whether what is kept is to stay in place.
    """

    def __init__(
        self,
        decoder: Decoder,
        encoded: Tensor,
        mask: Tensor,
        num_candidates: int,
        start_id: int,
        *,
        in_place: bool = False,
    ) -> None:
        self._decoder = decoder
        self._staying = Length(encoded.device) if in_place else None
        self._length: Tensor | int = 0 if self._staying is None else self._staying.tokens
        rows = len(encoded) * num_candidates
        self._shape = (decoder.num_heads, decoder.head_width)
        self._places = Places(len(encoded), num_candidates, encoded.device)
        like = encoded.new_empty(0, dtype=decoder.head.weight.dtype)
        self._hidden = like.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None]
        self._source = [self._source_keys(layer, encoded) for layer in decoder.layers]
        self._caches = [
            new_cache(rows, *self._shape, like, decoder.score_scale, self._staying)
            for _ in decoder.layers
        ]
        self.advance(torch.full((rows,), start_id, device=encoded.device))

    def advance(self, last: Tensor) -> None:
        """Take the tokens that were chosen, [R], and compute the logits of the next."""
        decoder = self._decoder
        self._caches = [cache.grown() for cache in self._caches]
        self._biases = self._of_places()
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

    def stays(self, length: int) -> bool:
        """Make room for the next token; only what is kept in place stays there."""
        return self._staying is not None and self._staying.fits(length)

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

    def _of_places(self) -> Tensor | None:
        """Give what is added to the scores of tokens, [T, H] or [T, 1], by how far back they are.

        Those to come are hidden, where there is room for any.
        """
        distances, staying = self._decoder.distances, self._staying
        if staying is None:
            if distances is None:
                return None
            back = torch.arange(int(self._length), -1, -1, device=distances.device)
            return distances[back.clamp_(max=len(distances) - 1)]
        hidden = staying.hidden(torch.float32).unsqueeze(1)
        if distances is None:
            return hidden
        return hidden + distances[staying.back().clamp_(0, len(distances) - 1)]

    def _source_keys(self, layer: Layer, encoded: Tensor) -> tuple[Tensor, Tensor]:
        size, length, _ = encoded.shape
        both = layer.source(encoded).view(size, length, 2, *self._shape)
        keys, values = both.permute(2, 0, 3, 1, 4)
        return keys.transpose(2, 3).contiguous(), values.contiguous()
