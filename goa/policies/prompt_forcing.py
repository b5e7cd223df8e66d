"""Teacher forcing of decoders of Llama's kind, each prompt read once for all its candidates."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from goa.policies.prompt_decoder import PromptDecoder
from goa.policies.tokens import Tokens


def forced_states(decoder: PromptDecoder, sources: Tokens, tokens: Tensor) -> Tensor:
    """Give the last hidden states, [R, T, d], that each given token is chosen from.

    Gradients reach the weights, and what is added to the embeddings of prompts. A token's state
    depends on those before it alone, so it does not matter what comes after a candidate's end.

    Args:
        decoder: whose head makes logits of the states.
        sources: B prompts, padded on the left.
        tokens: [R, T] K candidates of each, R = B * K, padded on the right.
    """
    # What comes after the last token is of no interest, so it is not read.
    own = tokens[:, :-1]
    layout = _lay_out(sources.mask, own)
    prompts = decoder.embedding(sources.ids)
    if sources.offsets is not None:
        prompts = prompts + sources.offsets
    hidden = torch.cat([prompts.flatten(0, 1), decoder.embedding(own).flatten(0, 1)])
    turns = decoder.turns(layout.positions, hidden)
    for layer in decoder.layers:
        queries, keys, values = decoder.heads(layer, hidden, turns)
        hidden = hidden + layer.out(_attend(decoder, layout, queries, keys, values))
        hidden = hidden + layer.feed(layer.feed_norm(hidden))
    read, written = layout.part(hidden)
    first = read[:, -1].repeat_interleave(layout.candidates, dim=0).unsqueeze(1)
    return decoder.last_norm(torch.cat([first, written.flatten(0, 1)], dim=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """N tokens behind each other: B prompts of S, then K candidates of each, of T; padding, too."""

    size: int
    length: int
    candidates: int
    width: int
    positions: Tensor
    """[N] int64."""
    read_mask: Tensor
    """[B, 1, S, S] bool, True for what each token of a prompt sees; padding before it, nothing."""
    own_mask: Tensor
    """[B, 1, 1, T, 1, S + T] bool, True for what each of a candidate's sees: prompt, then own."""

    def part(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take [N, ...] apart: [B, S, ...] of prompts, [B, K, T, ...] of candidates."""
        border, shape = self.size * self.length, values.shape[1:]
        read = values[:border].view(self.size, self.length, *shape)
        return read, values[border:].view(self.size, self.candidates, self.width, *shape)


def _lay_out(mask: Tensor, own: Tensor) -> _Layout:
    size, length = mask.shape
    rows, width = own.shape
    num_candidates = rows // size
    steps = torch.arange(width, device=mask.device)
    of_prompts = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
    of_candidates = (mask.sum(dim=1)[:, None, None] + steps).expand(-1, num_candidates, -1)
    before = mask.new_ones(length, length).tril()
    seen = mask[:, None].expand(-1, width, -1)
    so_far = mask.new_ones(width, width).tril().expand(size, -1, -1)
    return _Layout(
        size=size,
        length=length,
        candidates=num_candidates,
        width=width,
        positions=torch.cat([of_prompts.flatten(), of_candidates.flatten()]),
        read_mask=(before & mask[:, None])[:, None],
        own_mask=torch.cat([seen, so_far], dim=2)[:, None, None, :, None],
    )


def _attend(
    decoder: PromptDecoder, layout: _Layout, queries: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """Let all tokens look around: [N, H * D] of [N, H, D], [N, H', D] and [N, H', D]."""
    read_queries, own_queries = layout.part(queries)
    read_keys, own_keys = layout.part(keys)
    read_values, own_values = layout.part(values)
    read_keys, read_values = read_keys.transpose(1, 2), read_values.transpose(1, 2)
    read = functional.scaled_dot_product_attention(
        read_queries.transpose(1, 2),
        read_keys,
        read_values,
        layout.read_mask,
        dropout_p=decoder.dropout,
        scale=decoder.score_scale,
        enable_gqa=decoder.num_shared < decoder.num_heads,
    )
    written = _attend_from_candidates(
        decoder, layout, own_queries, (read_keys, read_values), (own_keys, own_values)
    )
    return torch.cat([read.transpose(1, 2).flatten(0, 1).flatten(1), written])


def _attend_from_candidates(
    decoder: PromptDecoder,
    layout: _Layout,
    queries: Tensor,
    read: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
) -> Tensor:
    """Let candidates' tokens look at their prompt and, one softmax over both, at those before.

    Args:
        decoder: who looks.
        layout: of the tokens.
        queries: [B, K, T, H, D].
        read: keys and values of prompts, [B, H', S, D] each.
        own: keys and values of candidates, [B, K, T, H', D] each.

    Returns:
        [B * K * T, H * D].
    """
    size, candidates, width, num_heads, depth = queries.shape
    length, shared = layout.length, decoder.num_shared
    groups = num_heads // shared
    whole = (size, shared, candidates * width * groups)  # all that look at the same prompt
    parts = (size, shared, candidates, width * groups)  # all that look at the same candidate
    places = (size, shared, candidates, width, groups)
    own_keys, own_values = (each.permute(0, 3, 1, 2, 4) for each in own)
    grouped = queries.view(size, candidates, width, shared, groups, depth)
    grouped = grouped.permute(0, 3, 1, 2, 4, 5)
    to_prompt = grouped.reshape(*whole, depth) @ read[0].transpose(2, 3)
    to_own = grouped.reshape(*parts, depth) @ own_keys.transpose(3, 4)
    scores = torch.cat([to_prompt.view(*parts, length), to_own], dim=-1) * decoder.score_scale
    scores = scores.view(*places, length + width).masked_fill(~layout.own_mask, -torch.inf)
    weights = functional.dropout(scores.softmax(dim=-1), decoder.dropout).view(
        *parts, length + width
    )
    of_prompt, of_own = weights[..., :length].reshape(*whole, length), weights[..., length:]
    found = (of_prompt @ read[1]).view(*parts, depth) + of_own @ own_values
    found = found.view(*places, depth).permute(0, 2, 3, 1, 4, 5)
    return found.reshape(size * candidates * width, num_heads * depth)
