"""A decoder-only policy of Llama's shape, from scratch, and a reward that costs next to nothing."""

from collections.abc import Sequence

import torch

from goa.evaluators.contract import Evaluator
from goa.policies.build import build_model
from goa.policies.decoder_only import DecoderOnly
from goa.policies.prompt import PromptSettings
from goa.policies.settings import ScratchPolicySettings
from goa.policies.tokenizer import train_tokenizer
from goa.records import Example, Sample, Scores


def llama_settings(vocab: int, width: int, layers: int, heads: int) -> ScratchPolicySettings:
    """Say the sizes of the model; its feed-forward layers are four times as wide as its states."""
    return ScratchPolicySettings(
        kind="scratch",
        architecture="llama",
        vocab_size=vocab,
        d_model=width,
        num_layers=layers,
        num_heads=heads,
        d_ff=4 * width,
        dropout=0.0,
    )


def make_llama(settings: ScratchPolicySettings, examples: Sequence[Example]) -> DecoderOnly:
    """Build the policy, its tokenizer made of the examples' sources.

    Its vocabulary is as large as told, even if the texts make no such one. The end token's row of
    the embedding, which is the head's, too, is 0 at first, so that it is about as likely as any
    other token: nearly all candidates have the full length.
    """
    tokenizer = train_tokenizer((example.source for example in examples), settings)
    pad_id, end_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    model = build_model(settings, settings.vocab_size, pad_id, end_id, seed=1).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight[end_id] = 0.0
    return DecoderOnly(model, tokenizer, PromptSettings())


def spread_of_letters(text: str) -> float:
    """Score a text by the share of its characters that it has not had before."""
    return len(set(text)) / max(1, len(text))


class SpreadOfLetters(Evaluator):
    """The reward as goa asks for it."""

    name = signature = "spread_of_letters"

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples."""
        return Scores(values=tuple(spread_of_letters(sample.candidate) for sample in samples))
