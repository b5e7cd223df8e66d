"""Teacher forcing of decoders of Llama's kind, each prompt read once for all its candidates.

Padding is computed by attention alone: all else is done for tokens that count.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from goa.policies.packing import Packing, take
from goa.policies.prompt_decoder import PromptDecoder
from goa.policies.tokens import Targets, Tokens


def forced_states(decoder: PromptDecoder, sources: Tokens, targets: Targets) -> Tensor:
    """Give the last hidden states, [N, d], that each of the given tokens is chosen from.

    Gradients reach the weights, and what is added to the embeddings of prompts.

    Args:
        decoder: whose head makes logits of the states.
        sources: B prompts.
        targets: their candidates.
    """
    size, lengths = len(sources.ids), sources.mask.sum(dim=1)
    # What comes after the last token is of no interest, so it is not read.
    prompts = Packing(sources.mask, torch.arange(size, device=lengths.device), size)
    written = Packing(targets.mask[:, 1:], targets.sources, size)
    states = torch.cat(
        [_embed(decoder, sources), decoder.embedding(written.take(targets.ids[:, :-1]))]
    )
    behind = lengths[targets.sources][written.rows] + written.columns
    turns = decoder.turns(torch.cat([prompts.places, behind]), states)
    attention = _Attention(decoder=decoder, prompts=prompts, written=written, lengths=lengths)
    for layer in decoder.layers:
        states = states + layer.out(attention(*decoder.heads(layer, states, turns)))
        states = states + layer.feed(layer.feed_norm(states))
    first = states[lengths.cumsum(0) - 1][targets.sources]
    later = states[len(prompts.rows) :]
    # Of a row's tokens the first follows the prompt, the others follow each other.
    rows, columns = targets.mask.nonzero(as_tuple=True)
    places = torch.arange(len(rows), device=rows.device) - rows - 1 + len(first)
    found = take(torch.cat([first, later]), torch.where(columns == 0, rows, places))
    return decoder.last_norm(found)


def _embed(decoder: PromptDecoder, sources: Tokens) -> Tensor:
    states: Tensor = decoder.embedding(sources.ids[sources.mask])
    return states if sources.offsets is None else states + sources.offsets[sources.mask]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attention:
    """What tokens of prompts see, and those of candidates: their prompt, and those before them.

    H heads of D values; H' of keys and values, each for G = H / H' of queries.
    """

    decoder: PromptDecoder
    prompts: Packing
    written: Packing
    lengths: Tensor
    """[B] tokens of each prompt."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Give [N, H * D] of queries [N, H, D], keys and values [N, H', D]; prompts come first."""
        border = len(self.prompts.rows)
        read_keys, read_values = (
            self.prompts.by_source(each[:border]).transpose(1, 2) for each in (keys, values)
        )
        read = functional.scaled_dot_product_attention(
            self.prompts.by_source(queries[:border]).transpose(1, 2),
            read_keys,
            read_values,
            is_causal=True,
            dropout_p=self.decoder.dropout,
            scale=self.decoder.score_scale,
            enable_gqa=self.decoder.num_shared < self.decoder.num_heads,
        )
        of_prompts = self.prompts.from_source(read.transpose(1, 2).flatten(2))
        own = (queries[border:], keys[border:], values[border:])
        if not len(own[0]):
            return of_prompts
        return torch.cat([of_prompts, self._of_candidates(*own, read_keys, read_values)])

    def _of_candidates(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        read_keys: Tensor,
        read_values: Tensor,
    ) -> Tensor:
        """One softmax goes over a prompt, [B, H', S, D], and the tokens of a candidate."""
        shape = (len(queries), self.decoder.num_shared, -1, self.decoder.head_width)
        grouped = queries.view(shape) * self.decoder.score_scale
        own_keys, own_values = (
            self.written.by_row(each).transpose(1, 2) for each in (keys, values)
        )
        to_prompt = self.written.from_source(
            _by_head(self.written.by_source(grouped), read_keys.transpose(2, 3))
        )
        to_own = self.written.take(_by_head(self.written.by_row(grouped), own_keys.transpose(2, 3)))
        scores = torch.cat([to_prompt, to_own], dim=-1)
        scores = scores.masked_fill(self._hidden(read_keys.shape[2], own_keys.shape[2]), -torch.inf)
        weights = functional.dropout(scores.softmax(dim=-1), self.decoder.dropout)
        border = read_keys.shape[2]
        found = self.written.from_source(
            _by_head(self.written.by_source(weights[..., :border]), read_values)
        )
        own = self.written.take(_by_head(self.written.by_row(weights[..., border:]), own_values))
        return (found + own).flatten(1)

    def _hidden(self, length: int, width: int) -> Tensor:
        """Say what tokens of candidates do not see: [N, 1, 1, S + T] bool."""
        places = torch.arange(max(length, width), device=self.lengths.device)
        behind = places[:length] >= self.lengths[self.written.sources].unsqueeze(1)
        later = places[:width] > self.written.columns.unsqueeze(1)
        return torch.cat([behind, later], dim=1)[:, None, None]


def _by_head(left: Tensor, right: Tensor) -> Tensor:
    """Multiply [X, Y, H', G, m] by [X, H', m, n]: [X, Y, H', G, n]."""
    size, rows, shared, groups, inner = left.shape
    flat = left.permute(0, 2, 1, 3, 4).reshape(size, shared, rows * groups, inner)
    found = (flat @ right).view(size, shared, rows, groups, -1)
    return found.permute(0, 2, 1, 3, 4)
