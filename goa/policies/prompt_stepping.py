"""Decoders of Llama's kind, a token at a time, computed from their weights.

transformers' own step keeps a prompt's keys and values once for each candidate, and lays the cache
out anew at every token. Here the K candidates of a prompt share its keys and values, and have room
ahead for their own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from goa.policies.keys import Length
from goa.policies.places import Places
from goa.policies.prompt_attention import PromptAttention
from goa.policies.prompt_decoder import PromptDecoder
from goa.policies.writing import Writing


class PromptStepper(Writing):
    """R candidates in the making, of B prompts; those of one prompt are neighbours.

    Args:
        decoder: who writes.
        prompts: keys and values of the prompts, [B, H', S, D] each, layer by layer.
        mask: [B, S] bool, True for the tokens of a prompt.
        logits: [B, V] of what follows each prompt, float32.
        num_candidates: K of each prompt at first, R = B * K.
        in_place: whether what is kept is to stay in place.
    """

    def __init__(
        self,
        decoder: PromptDecoder,
        prompts: Sequence[tuple[Tensor, Tensor]],
        mask: Tensor,
        logits: Tensor,
        num_candidates: int,
        *,
        in_place: bool = False,
    ) -> None:
        self._decoder = decoder
        self._staying = Length(mask.device) if in_place else None
        self._places = Places(len(mask), num_candidates, mask.device)
        self._dtype = decoder.head.weight.dtype
        self._attentions = [
            PromptAttention(
                keys.to(self._dtype),
                values.to(self._dtype),
                len(mask) * num_candidates,
                self._staying,
            )
            for keys, values in prompts
        ]
        self._mask = mask
        self._hidden = self._hiding(mask)
        self._positions = mask.sum(dim=1).repeat_interleave(num_candidates)
        self.logits = logits.repeat_interleave(num_candidates, dim=0)

    def advance(self, last: Tensor) -> None:
        """Take the tokens that were chosen, [R], and compute the logits of the next."""
        decoder = self._decoder
        hidden = decoder.embedding(last)
        turns = decoder.turns(self._positions, hidden)
        staying = self._staying
        hidden_own = None if staying is None else staying.hidden(self._dtype)
        for layer, attention in zip(decoder.layers, self._attentions, strict=True):
            queries, keys, values = decoder.heads(layer, hidden, turns)
            newest = torch.stack([keys, values])
            scaled = queries * decoder.score_scale
            hidden = hidden + layer.out(
                attention.attend(scaled, newest, self._hidden, hidden_own, self._places)
            )
            hidden = hidden + layer.feed(layer.feed_norm(hidden))
        self._positions += 1
        if staying is not None:
            staying.tokens += 1
        self.logits = decoder.head(decoder.last_norm(hidden)).float()

    def select(self, rows: Tensor) -> None:
        """Go on with the candidates of these indices; prompts stay in order, indices may repeat."""
        self.logits, self._positions = self.logits[rows], self._positions[rows]
        kept = self._places.select(rows)
        for attention in self._attentions:
            attention.select(rows, kept)
        if kept is not None:
            self._mask = self._mask[kept]
            self._hidden = self._hiding(self._mask)

    def stays(self, length: int) -> bool:
        """Make room for the next token; only what is kept in place stays there."""
        return self._staying is not None and self._staying.fits(length)

    def _hiding(self, mask: Tensor) -> Tensor:
        """Give what is added to scores, [B * H', 1, S]: minus infinity where a mask is False."""
        hidden = mask.new_zeros(mask.shape, dtype=self._dtype).masked_fill_(~mask, -torch.inf)
        return hidden.repeat_interleave(self._decoder.num_shared, dim=0).unsqueeze(1)
