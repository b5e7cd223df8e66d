"""Policies that read the source with an encoder and write with a decoder."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from goa.policies.forcing import read_forcing
from goa.policies.policy import Policy, required
from goa.policies.stepping import Stepper, read_decoder
from goa.policies.tokens import Targets, Tokens
from goa.policies.writing import Writing


class EncoderDecoder(Policy):
    """An encoder-decoder; it writes from the model's start token on, which is in no candidate."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(model, tokenizer)
        self.start_id = required(model.config.decoder_start_token_id, "decoder start")
        self._pad_id = required(tokenizer.pad_token_id, "padding")

    @property
    def pad_id(self) -> int:
        """The id that fills rows up."""
        return self._pad_id

    @property
    def source_embedding(self) -> nn.Module:
        """The encoder's embedding."""
        embedding: nn.Module = self.model.get_encoder().get_input_embeddings()
        return embedding

    def source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize sources."""
        return self._within_positions(self.tokenizer(list(texts)).input_ids, texts)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize targets, each with the end token."""
        rows = self.tokenizer(text_target=list(texts)).input_ids
        rows = [row if row and row[-1] == self.end_id else [*row, self.end_id] for row in rows]
        return self._within_positions(rows, texts)

    def room(self, sources: Tokens) -> Tensor | None:
        """Give the decoder's positions, whatever the source."""
        if self.max_positions is None:
            return None
        return torch.full((len(sources.ids),), self.max_positions, device=self.device)

    def start(self, sources: Tokens, num_candidates: int, *, in_place: bool = False) -> Writing:
        """Begin K candidates for each source; the encoder runs once per source."""
        with self.arithmetic():
            encoded = self.encode(sources)
        decoder = read_decoder(self.model, self.product_dtype)
        if decoder is not None:
            return Stepper(
                decoder, encoded, sources.mask, num_candidates, self.start_id, in_place=in_place
            )
        states, mask = (
            each.repeat_interleave(num_candidates, dim=0) for each in (encoded, sources.mask)
        )
        return _DecoderWriting(self, states, mask)

    def num_leading(self, sources: Tokens) -> int:
        """Count the start token."""
        del sources
        return 1

    def special_tokens(self) -> Mapping[str, int]:
        """Name start, end and padding."""
        return {
            "decoder_start_token_id": self.start_id,
            "eos_token_id": self.end_id,
            "pad_token_id": self.pad_id,
        }

    def encode(self, sources: Tokens) -> Tensor:
        """Run the encoder once per source: [B, S, d] hidden states."""
        with self.moved(sources.offsets):
            output = self.model.get_encoder()(
                input_ids=sources.ids, attention_mask=sources.mask.long(), return_dict=True
            )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _states(self, sources: Tokens, targets: Targets) -> Tensor:
        encoded, before = self.encode(sources), self._before(targets)
        if not self.checkpoints_gradients:
            dtype = self.product_dtype
            forcing = read_forcing(self.model, dtype, encoded, sources.mask, targets)
            if forcing is not None:
                return forcing.states(before[targets.mask])
        output = self.model.get_decoder()(
            input_ids=before,
            encoder_hidden_states=encoded[targets.sources],
            encoder_attention_mask=sources.mask[targets.sources].long(),
            use_cache=False,
        )
        states: Tensor = output.last_hidden_state
        return states[targets.mask]

    def _force(
        self, sources: Tokens, targets: Targets, *, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        output = self.model(
            encoder_outputs=BaseModelOutput(
                last_hidden_state=self.encode(sources)[targets.sources]
            ),
            attention_mask=sources.mask[targets.sources].long(),
            decoder_input_ids=self._before(targets),
            use_cache=False,
            output_hidden_states=states,
        )
        return output.logits, output.decoder_hidden_states[-1] if states else None

    def _before(self, targets: Targets) -> Tensor:
        """Give the token before each, [R, T]."""
        return pad(targets.ids[:, :-1], (1, 0), value=self.start_id)


class _DecoderWriting(Writing):
    """Keeps the encoder's states and the decoder's keys and values."""

    def __init__(self, policy: EncoderDecoder, encoded: Tensor, mask: Tensor) -> None:
        self._policy = policy
        self._encoded = encoded
        self._mask = mask
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self.advance(torch.full((len(encoded),), policy.start_id, device=encoded.device))

    def advance(self, last: Tensor) -> None:
        with self._policy.arithmetic():
            output = self._policy.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
                attention_mask=self._mask.long(),
                decoder_input_ids=last.unsqueeze(1),
                past_key_values=self._cache,
                use_cache=True,
            )
        self.logits = output.logits[:, -1].float()

    def select(self, rows: Tensor) -> None:
        self._encoded, self._mask = self._encoded[rows], self._mask[rows]
        self.logits = self.logits[rows]
        self._cache.batch_select_indices(rows)
