"""Policies that read a prompt and write on."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from goa.errors import PolicyError
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.prompt_decoder import read_prompt_decoder
from goa.policies.prompt_forcing import forced_states
from goa.policies.prompt_stepping import PromptStepper
from goa.policies.tokens import Targets, Tokens
from goa.policies.writing import Writing


class DecoderOnly(Policy):
    """A decoder-only model with its prompt; only what comes after the prompt is the candidate.

    Prompts are padded on the left, so that candidates begin in the same column.
    """

    pads_left = True

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: PromptSettings
    ) -> None:
        super().__init__(model, tokenizer)
        self.prompt = prompt
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._keeps_logits = "logits_to_keep" in accepted

    @property
    def pad_id(self) -> int:
        """The id that fills rows up: the end token, where the tokenizer has none for padding."""
        pad_id = self.tokenizer.pad_token_id
        return self.end_id if pad_id is None else int(pad_id)

    @property
    def source_embedding(self) -> nn.Module:
        """The model's only embedding."""
        embedding: nn.Module = self.model.get_input_embeddings()
        return embedding

    def source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize the prompts of sources."""
        prompts = [self.prompt.fill(text, self.tokenizer) for text in texts]
        # A chat template has put in its special tokens itself.
        rows = self.tokenizer(prompts, add_special_tokens=not self.prompt.chat).input_ids
        return self._within_positions(rows, texts)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize targets as the prompt's continuation, each with the end token."""
        rows = self.tokenizer(list(texts), add_special_tokens=False).input_ids
        return self._within_positions([[*row, self.end_id] for row in rows], texts)

    def room(self, sources: Tokens) -> Tensor | None:
        """Give the positions that each prompt leaves."""
        if self.max_positions is None:
            return None
        lengths = sources.mask.sum(dim=1)
        if int(lengths.max()) >= self.max_positions:
            raise PolicyError(
                f"a prompt of {int(lengths.max())} tokens leaves none of the model's "
                f"{self.max_positions} positions to write in; lower data.cleaning.max_words"
            )
        return self.max_positions - lengths

    def start(self, sources: Tokens, num_candidates: int, *, in_place: bool = False) -> Writing:
        """Begin K candidates for each source; each prompt is read once."""
        dtype = self.model.dtype if self.precision == "float32" else torch.bfloat16
        decoder = read_prompt_decoder(self.model, dtype)
        read = self.read(sources)
        if decoder is None:
            return _PromptWriting(self, read, sources.mask, num_candidates)
        prompts = [(layer.keys, layer.values) for layer in read.past_key_values.layers]
        logits = read.logits[:, -1].float()
        return PromptStepper(
            decoder, prompts, sources.mask, logits, num_candidates, in_place=in_place
        )

    def num_leading(self, sources: Tokens) -> int:
        """Count the prompt, padding included."""
        return sources.ids.shape[1]

    def special_tokens(self) -> Mapping[str, int]:
        """Name end and padding."""
        return {"eos_token_id": self.end_id, "pad_token_id": self.pad_id}

    def positions(self, mask: Tensor) -> dict[str, Tensor]:
        """Count positions [R, N] over the tokens that a mask counts, where the model takes them."""
        if not self._takes_positions:
            return {}
        return {"position_ids": (mask.long().cumsum(dim=1) - 1).clamp(min=0)}

    def last_logits(self, num_tokens: int) -> dict[str, int]:
        """Ask for the logits of the last tokens alone, where the model can."""
        return {"logits_to_keep": num_tokens} if self._keeps_logits else {}

    def _states(self, sources: Tokens, targets: Targets) -> Tensor:
        if not self.checkpoints_gradients:
            decoder = read_prompt_decoder(self.model, self.product_dtype)
            if decoder is not None:
                return forced_states(decoder, sources, targets)
        given, offsets = self._continued(sources, targets)
        with self.moved(offsets):
            output = self.model.get_decoder()(**given, use_cache=False)
        states: Tensor = output.last_hidden_state[:, -targets.ids.shape[1] :]
        return states[targets.mask]

    def read(self, sources: Tokens) -> Any:
        """Read prompts; gives what transformers does, with their keys, values and last logits."""
        with self.arithmetic():
            return self.model(
                input_ids=sources.ids,
                attention_mask=sources.mask.long(),
                use_cache=True,
                **self.positions(sources.mask),
                **self.last_logits(1),
            )

    def _force(
        self, sources: Tokens, targets: Targets, *, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        given, offsets = self._continued(sources, targets)
        width = targets.ids.shape[1]
        with self.moved(offsets):
            output = self.model(
                **given,
                use_cache=False,
                output_hidden_states=states,
                **self.last_logits(width),
            )
        hidden = output.hidden_states[-1][:, -width:] if states else None
        return output.logits[:, -width:], hidden

    def _continued(
        self, sources: Tokens, targets: Targets
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Put prompts before what is written after them; give offsets of the whole, too."""
        # What comes after the last token is of no interest, so it is not read.
        mask = torch.cat([sources.mask[targets.sources], targets.mask[:, :-1]], dim=1)
        given = {
            "input_ids": torch.cat([sources.ids[targets.sources], targets.ids[:, :-1]], dim=1),
            "attention_mask": mask.long(),
            **self.positions(mask),
        }
        if sources.offsets is None:
            return given, None
        space = targets.ids.shape[1] - 1
        return given, pad(sources.offsets[targets.sources], (0, 0, 0, space))


class _PromptWriting(Writing):
    """Keeps the keys and values of prompt and candidate."""

    def __init__(self, policy: DecoderOnly, read: Any, mask: Tensor, num_candidates: int) -> None:
        self._policy = policy
        self._cache = read.past_key_values
        self._cache.batch_repeat_interleave(num_candidates)
        self._mask = mask.repeat_interleave(num_candidates, dim=0)
        self.logits = read.logits[:, -1].float().repeat_interleave(num_candidates, dim=0)

    def advance(self, last: Tensor) -> None:
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(last), 1)], dim=1)
        positions = self._policy.positions(self._mask)
        with self._policy.arithmetic():
            output = self._policy.model(
                input_ids=last.unsqueeze(1),
                attention_mask=self._mask.long(),
                past_key_values=self._cache,
                use_cache=True,
                **{name: values[:, -1:] for name, values in positions.items()},
            )
        self.logits = output.logits[:, -1].float()

    def select(self, rows: Tensor) -> None:
        self._mask, self.logits = self._mask[rows], self.logits[rows]
        self._cache.batch_select_indices(rows)
