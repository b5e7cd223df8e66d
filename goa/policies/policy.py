"""An encoder-decoder language model with its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from goa.errors import PolicyError, excerpt

WantedEntropy = Literal["none", "value", "gradient"]
"""Whether to compute entropies, one more pass over the vocabulary, and whether with gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A padded batch of token ids."""

    ids: Tensor
    """[B, S] int64; padding where the mask is False."""
    mask: Tensor
    """[B, S] bool; True = counts."""

    def __getitem__(self, rows: slice) -> "Tokens":
        """Take some rows, without the columns that are padding in all of them."""
        mask = self.mask[rows]
        width = int(mask.sum(dim=1).max()) if len(mask) else 0
        return Tokens(ids=self.ids[rows, :width], mask=mask[:, :width])


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Sources after the encoder, each encoded once."""

    states: Tensor
    """[B, S, d] hidden states."""
    mask: Tensor
    """[B, S] bool."""

    def expand(self, num_candidates: int) -> "Encoded":
        """Repeat each source for its K candidates: [B * K, S, d], source by source."""
        return Encoded(
            states=self.states.repeat_interleave(num_candidates, dim=0),
            mask=self.mask.repeat_interleave(num_candidates, dim=0),
        )

    def select(self, rows: Tensor) -> "Encoded":
        """Keep the rows of these indices."""
        return Encoded(states=self.states[rows], mask=self.mask[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """What a policy says of given tokens, position by position; zero where the mask is False."""

    log_probs: Tensor
    """[B, K, T] log-probability of each token given the source and the tokens before it."""
    mean_log_probs: Tensor
    """[B, K, T] log-probability averaged over the vocabulary: the label-smoothing term."""
    entropy: Tensor | None
    """[B, K, T] entropy of the next-token distribution, in nats; None where not asked for."""


class Policy:
    """Turns text into ids, scores candidates, and takes decoding steps.

    Decoding starts from the model's start token, which is in no candidate; a candidate's tokens
    end with the end token unless it was cut at a length limit.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.start_id = _required(model.config.decoder_start_token_id, "decoder start")
        self.end_id = _required(tokenizer.eos_token_id, "end")
        self.pad_id = _required(tokenizer.pad_token_id, "padding")
        limit = getattr(model.config, "max_position_embeddings", None)
        self.max_positions: int | None = limit

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    def tokenize_sources(self, texts: Sequence[str]) -> Tokens:
        """Tokenize B sources and lay them out as a batch, [B, S].

        Raises:
            PolicyError: a source is longer than the model's positions.
        """
        return self.pad(self.source_ids(texts))

    def source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize sources.

        Raises:
            PolicyError: a source is longer than the model's positions.
        """
        return self._within_positions(self.tokenizer(list(texts)).input_ids, texts)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize targets, each with the end token.

        Raises:
            PolicyError: a text is longer than the model's positions.
        """
        rows = self.tokenizer(text_target=list(texts)).input_ids
        rows = [row if row and row[-1] == self.end_id else [*row, self.end_id] for row in rows]
        return self._within_positions(rows, texts)

    def pad(self, rows: Sequence[Sequence[int]]) -> Tokens:
        """Lay ids out as a padded batch on the policy's device, [N, longest row]."""
        lengths = torch.tensor([len(row) for row in rows])
        width = int(lengths.max())
        ids = torch.full((len(rows), width), self.pad_id)
        mask = torch.arange(width) < lengths.unsqueeze(1)
        ids[mask] = torch.tensor([token for row in rows for token in row])
        return Tokens(ids=ids.to(self.device), mask=mask.to(self.device))

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Turn ids into text, without special tokens."""
        decoded = self.tokenizer.batch_decode(
            [list(row) for row in rows],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return [text.strip() for text in decoded]

    def encode(self, sources: Tokens) -> Encoded:
        """Run the encoder once per source."""
        output = self.model.get_encoder()(
            input_ids=sources.ids, attention_mask=sources.mask.long(), return_dict=True
        )
        return Encoded(states=output.last_hidden_state, mask=sources.mask)

    def score(
        self,
        sources: Tokens,
        tokens: Tensor,
        mask: Tensor,
        entropy: WantedEntropy = "none",
    ) -> TokenScores:
        """Score K given candidates per source by teacher forcing, with gradient.

        Args:
            sources: B tokenized sources.
            tokens: [B, K, T] candidate ids, the end token included.
            mask: [B, K, T] bool, True for the tokens of a candidate.
            entropy: whether that of the next-token distributions is wanted, too.
        """
        num_sources, num_candidates, width = tokens.shape
        encoded = self.encode(sources).expand(num_candidates)
        flat = tokens.reshape(-1, width)
        start = flat.new_full((len(flat), 1), self.start_id)
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.states),
            attention_mask=encoded.mask.long(),
            decoder_input_ids=torch.cat([start, flat[:, :-1]], dim=1),
            use_cache=False,
        ).logits
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        flat_mask = mask.reshape(-1, width)
        normaliser = logits.logsumexp(dim=-1)
        chosen = logits.gather(-1, flat.unsqueeze(-1)).squeeze(-1)
        entropies = None
        if entropy != "none":
            with torch.set_grad_enabled(entropy == "gradient" and torch.is_grad_enabled()):
                entropies = _entropy(logits, normaliser)

        def lay_out(values: Tensor) -> Tensor:
            return values.masked_fill(~flat_mask, 0.0).view(num_sources, num_candidates, width)

        return TokenScores(
            log_probs=lay_out(chosen - normaliser),
            mean_log_probs=lay_out(logits.mean(dim=-1) - normaliser),
            entropy=None if entropies is None else lay_out(entropies),
        )

    def new_cache(self) -> EncoderDecoderCache:
        """Make an empty key-value cache for :meth:`step`."""
        return EncoderDecoderCache(DynamicCache(), DynamicCache())

    def step(self, encoded: Encoded, cache: EncoderDecoderCache, last: Tensor) -> Tensor:
        """Give the next-token logits, [R, V] float32, after the last tokens, [R]; fills cache."""
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.states),
            attention_mask=encoded.mask.long(),
            decoder_input_ids=last.unsqueeze(1),
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _within_positions(self, rows: list[list[int]], texts: Sequence[str]) -> list[list[int]]:
        if self.max_positions is None:
            return rows
        for row, text in zip(rows, texts, strict=True):
            if len(row) > self.max_positions:
                raise PolicyError(
                    f"a text of {len(row)} tokens is longer than the model's {self.max_positions} "
                    f"positions: {excerpt(text)!r}; lower data.cleaning.max_words, or use a model "
                    "with more positions (policy.max_positions for one made from scratch)"
                )
        return rows


def _entropy(logits: Tensor, normaliser: Tensor) -> Tensor:
    """Compute the entropy in nats, [...], of the distributions that logits [..., V] stand for."""
    probs = (logits - normaliser.unsqueeze(-1)).exp()
    return normaliser - (probs * logits).sum(dim=-1)


def _required(token_id: int | None, what: str) -> int:
    if token_id is None:
        raise PolicyError(f"the model or its tokenizer names no {what} token")
    return token_id
