"""A language model with its tokenizer: text <-> ids <-> log-probs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from goa.errors import PolicyError, excerpt
from goa.policies.model import Model
from goa.policies.output_head import read_head
from goa.policies.projection import Said, distributions, project, read_off
from goa.policies.tokens import (
    Targets,
    Tokens,
    TokenScores,
    WantedEntropy,
    first_alike,
    padded,
)
from goa.policies.writing import Writing


class Policy(Model, ABC):
    """Turns text into ids, scores candidates, and writes them token by token.

    A candidate's tokens end with the end token unless it was cut at a length limit.
    """

    pads_left = False
    """Whether padding of sources comes before them."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(model)
        self.tokenizer = tokenizer
        self.end_id = required(tokenizer.eos_token_id, "end")
        limit = getattr(model.config, "max_position_embeddings", None)
        self.max_positions: int | None = limit
        self.tokens_at_once: int | None = None
        """Tokens that are held at a time in writing, room for those to come included; None: as many
        as memory has room for, which is found when writing first begins."""
        self.cuda_graphs = False
        """Whether steps of writing are recorded, where the policy is on a GPU."""

    @property
    @abstractmethod
    def pad_id(self) -> int:
        """The id that fills rows up; what counts is said by masks."""

    def tokenize_sources(self, texts: Sequence[str]) -> Tokens:
        """Tokenize B sources and lay them out as a batch, [B, S].

        Raises:
            PolicyError: a source is longer than the model's positions, or comes to no token at
                all, after which none follows.
        """
        rows = self.source_ids(texts)
        if not all(rows):
            raise PolicyError(
                "an empty source, and a prompt that adds nothing to it, leave a decoder-only model "
                "nothing to write on from; give policy.prompt.template words of its own"
            )
        return self.pad_sources(rows)

    @property
    @abstractmethod
    def source_embedding(self) -> nn.Module:
        """What turns the ids of sources into vectors."""

    @contextmanager
    def moved(self, offsets: Tensor | None) -> Iterator[None]:
        """Add offsets to what the source embedding gives, for a while; None adds nothing.

        A hook, since models differ in what they do to embeddings that are handed to them: Marian's
        scales those it looks up itself, and no others.
        """
        if offsets is None:
            yield
            return
        handle = self.source_embedding.register_forward_hook(lambda _, __, found: found + offsets)
        try:
            yield
        finally:
            handle.remove()

    @abstractmethod
    def source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize sources.

        Raises:
            PolicyError: a source is longer than the model's positions.
        """

    @abstractmethod
    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize targets, each with the end token.

        Raises:
            PolicyError: a text is longer than the model's positions.
        """

    @abstractmethod
    def room(self, sources: Tokens) -> Tensor | None:
        """Give the most tokens that can be written for each source, [B]; None: no bound.

        Raises:
            PolicyError: nothing can be written for a source.
        """

    def pad_sources(self, rows: Sequence[Sequence[int]]) -> Tokens:
        """Lay ids of sources out as a padded batch on the policy's device, [B, longest row]."""
        return padded(rows, self.pad_id, self.device, left=self.pads_left)

    def pad(self, rows: Sequence[Sequence[int]]) -> Tokens:
        """Lay ids of targets out as a padded batch on the policy's device, [N, longest row]."""
        return padded(rows, self.pad_id, self.device, left=False)

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Turn ids into text, without special tokens."""
        decoded = self.tokenizer.batch_decode(
            [list(row) for row in rows],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return [text.strip() for text in decoded]

    def score(
        self,
        sources: Tokens,
        tokens: Tensor,
        mask: Tensor,
        entropy: WantedEntropy = "none",
        *,
        states: bool = False,
    ) -> TokenScores:
        """Score K given candidates per source by teacher forcing, with gradient.

        Each source is encoded once, and of candidates that are the same only one is computed.

        Args:
            sources: B tokenized sources.
            tokens: [B, K, T] candidate ids, the end token included.
            mask: [B, K, T] bool, True for the tokens of a candidate.
            entropy: whether that of the next-token distributions is wanted, too.
            states: whether the decoder's states are wanted, too.
        """
        first = first_alike(tokens, mask)
        own = first == torch.arange(first.shape[1], device=first.device)
        chosen = own.flatten().nonzero().squeeze(1)
        targets = Targets(
            ids=tokens.flatten(0, 1)[chosen],
            mask=mask.flatten(0, 1)[chosen],
            sources=chosen // first.shape[1],
        )
        said, hidden = self._said(sources, targets, entropy, states=states)
        places = (own.flatten().cumsum(0) - 1).view_as(first).gather(1, first)

        def lay_out(values: Tensor) -> Tensor:
            rows = values.new_zeros(*targets.mask.shape, *values.shape[1:])
            rows[targets.mask] = values
            return rows[places]

        return TokenScores(
            log_probs=lay_out(said.log_probs),
            mean_log_probs=lay_out(said.mean_log_probs),
            entropy=None if said.entropy is None else lay_out(said.entropy),
            states=lay_out(hidden) if states and hidden is not None else None,
        )

    @torch.no_grad()
    def distributions(self, sources: Tokens, targets: Targets) -> Iterator[tuple[Tensor, Tensor]]:
        """Give what each token of targets is chosen from, by teacher forcing, some at a time.

        Each part is log-probabilities over the vocabulary, [n, V] in float32 at least, and the
        tokens given in their places, [n]; candidate by candidate. No more is held than a few rows
        or, of models whose last layer is not known, one candidate's.
        """
        head = read_head(self.model, self.product_dtype) if self.shards is None else None
        if head is None:
            for row, source in enumerate(targets.sources.tolist()):
                ids, mask = targets.ids[row : row + 1], targets.mask[row : row + 1]
                alone = Targets(ids=ids, mask=mask, sources=torch.zeros_like(ids[:, 0]))
                logits, _ = self._logits(sources[source : source + 1], alone, states=False)
                yield logits[mask].log_softmax(dim=-1), ids[mask]
            return
        with self.arithmetic():
            states = self._states(sources, targets)
        tokens = targets.ids[targets.mask]
        for rows, log_probs in distributions(states, head):
            yield log_probs, tokens[rows]

    @abstractmethod
    def start(self, sources: Tokens, num_candidates: int, *, in_place: bool = False) -> Writing:
        """Begin K candidates for each of B sources, source by source: R = B * K.

        Each source is read once.

        Args:
            sources: B sources.
            num_candidates: K.
            in_place: whether what is kept of candidates is to stay in place, so that what writes
                the next token can be recorded; transformers' own steps cannot be.
        """

    def _said(
        self, sources: Tokens, targets: Targets, entropy: WantedEntropy, *, states: bool
    ) -> tuple[Said, Tensor | None]:
        """Say what the N tokens of targets get, and, if asked, the states they are chosen from."""
        tokens = targets.ids[targets.mask]
        # A layer's weights are whole only while it runs, where they are sharded.
        head = read_head(self.model, self.product_dtype) if self.shards is None else None
        if head is None:
            logits, hidden = self._logits(sources, targets, states=states)
            found = None if hidden is None else hidden[targets.mask]
            return read_off(logits[targets.mask], tokens, entropy), found
        with self.arithmetic():
            found = self._states(sources, targets)
        return project(found, head, tokens, entropy), found

    def _logits(
        self, sources: Tokens, targets: Targets, *, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Do as :meth:`_force` does, in the policy's precision; logits of float32 at least."""
        force = partial(self._force, sources, targets, states=states)
        with self.arithmetic():
            logits, hidden = force() if self.shards is None else self.shards.run(force)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)), hidden

    @abstractmethod
    def num_leading(self, sources: Tokens) -> int:
        """Count the tokens that transformers' ``generate`` puts before a candidate's own."""

    @abstractmethod
    def special_tokens(self) -> Mapping[str, int]:
        """Name the special tokens as transformers' ``GenerationConfig`` does."""

    @abstractmethod
    def _states(self, sources: Tokens, targets: Targets) -> Tensor:
        """Give the decoder's last states, [N, d], that the tokens of targets are chosen from."""

    @abstractmethod
    def _force(
        self, sources: Tokens, targets: Targets, *, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Give the logits [R, T, V] that each given token is chosen from, and, if asked, states.

        Args:
            sources: B sources.
            targets: R candidates.
            states: whether to give the decoder's last hidden states, [R, T, d].
        """

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


def required(token_id: Any, what: str) -> int:
    """Insist on a special token.

    Raises:
        PolicyError: neither the model nor its tokenizer names it.
    """
    if token_id is None:
        raise PolicyError(f"the model or its tokenizer names no {what} token")
    return int(token_id)
