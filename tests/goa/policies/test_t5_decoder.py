"""T5's variants, written from their weights, against transformers' own step."""

from collections.abc import Callable

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from goa.policies.encoder_decoder import EncoderDecoder, _DecoderWriting
from goa.policies.stepping import Stepper
from tests.conftest import SENTENCES

VARIANTS = {
    "plain feed-forward": {"feed_forward_proj": "relu"},
    "wide heads": {"d_kv": 12},
    "output layer of its own scale": {"tie_word_embeddings": False},
    "near distances": {"relative_attention_max_distance": 9, "relative_attention_num_buckets": 8},
}


def t5(policy: EncoderDecoder, **changes: object) -> EncoderDecoder:
    """Make a T5 with the tokenizer, and for the rest the sizes, of a policy."""
    names = (
        "vocab_size d_model d_kv d_ff num_layers num_heads pad_token_id eos_token_id "
        "decoder_start_token_id feed_forward_proj"
    )
    kept = {name: getattr(policy.model.config, name) for name in names.split()}
    torch.manual_seed(1)
    model = T5ForConditionalGeneration(T5Config(**(kept | changes))).eval()
    return EncoderDecoder(model, policy.tokenizer)


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_those_of_transformers(
    make_policy: Callable[..., EncoderDecoder], variant: str
) -> None:
    policy = t5(make_policy("t5"), **VARIANTS[variant])
    sources = policy.tokenize_sources([SENTENCES[0], " ".join(SENTENCES[:3])])
    one = policy.start(sources, 1)
    assert isinstance(one, Stepper)
    two = _DecoderWriting(policy, policy.encode(sources), sources.mask)
    draws = torch.Generator().manual_seed(1)
    for _ in range(28):
        torch.testing.assert_close(one.logits, two.logits)
        last = torch.randint(len(policy.tokenizer), (2,), generator=draws)
        for writing in (one, two):
            writing.advance(last)


@torch.no_grad()
def test_a_narrow_model_keeps_its_outer_matrices_in_float32(
    make_policy: Callable[..., EncoderDecoder],
) -> None:
    policy = make_policy("t5")
    policy.model.to(torch.bfloat16)
    for name, module in policy.model.named_modules():
        if name.endswith("wo"):  # as transformers loads it
            module.float()
            module.weight.mul_(1.001)  # what bfloat16 cannot say
    sources = policy.tokenize_sources(SENTENCES)
    one = policy.start(sources, 1)
    assert isinstance(one, Stepper)
    assert {layer.feed.outer.weight.dtype for layer in one._decoder.layers} == {torch.float32}
    assert one._decoder.head.weight.dtype == torch.bfloat16
    two = _DecoderWriting(policy, policy.encode(sources), sources.mask)
    torch.testing.assert_close(one.logits, two.logits, rtol=0.05, atol=0.05)
