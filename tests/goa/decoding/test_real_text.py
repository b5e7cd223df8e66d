"""Greedy outputs and beams for real sentences, by policies of every shape."""

import gzip
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import GenerationConfig

from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, GreedySettings, StrategySettings
from goa.policies.build import build_model
from goa.policies.decoder_only import DecoderOnly
from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.settings import ScratchPolicySettings
from goa.policies.tokenizer import train_tokenizer

MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"
SOURCES, MAX_TOKENS = 48, 24

pytestmark = pytest.mark.skipif(not MULTI30K.exists(), reason="Multi30k is not here")


def lines(name: str, count: int) -> list[str]:
    with gzip.open(MULTI30K / name, "rt", encoding="utf-8") as file:
        return [line.strip() for line in islice(file, count)]


def decided(architecture: str) -> Policy:
    """Make a policy whose weights are random, and large enough to have it say many things."""
    sources, targets = (lines(f"train.{side}.gz", 1000) for side in ("de", "en"))
    settings = ScratchPolicySettings(
        kind="scratch",
        architecture=architecture,  # type: ignore[arg-type]
        vocab_size=500,
        d_model=32,
        num_layers=2,
        num_heads=2,
        d_ff=64,
    )
    tokenizer = train_tokenizer(iter([*sources, *targets]), settings)
    model = build_model(settings, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, 3)
    torch.manual_seed(4)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(weight, std=0.4)
    head = model.get_output_embeddings()
    head.bias = nn.Parameter(torch.zeros(head.out_features))
    head.bias.data[tokenizer.eos_token_id] = 1.0 if architecture == "t5" else 6.0
    if model.config.is_encoder_decoder:
        return EncoderDecoder(model.eval(), tokenizer)
    return DecoderOnly(model.eval(), tokenizer, PromptSettings(template="{source} ="))


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
def test_they_are_those_of_transformers_token_for_token(architecture: str) -> None:
    policy = decided(architecture)
    texts = lines("val.de.gz", SOURCES)
    sources = policy.tokenize_sources(texts)
    strategies: dict[int, StrategySettings] = {
        1: GreedySettings(kind="greedy", max_tokens=MAX_TOKENS),
        5: BeamSettings(kind="beam", num_beams=5, max_tokens=MAX_TOKENS),
    }
    for num_beams, strategy in strategies.items():
        ours = generate(policy, sources, strategy, 0, texts)
        theirs = policy.model.generate(
            input_ids=sources.ids,
            attention_mask=sources.mask.long(),
            generation_config=GenerationConfig(
                num_beams=num_beams, max_new_tokens=MAX_TOKENS, **policy.special_tokens()
            ),
        )[:, policy.num_leading(sources) :]
        ends = (theirs == policy.end_id).long()
        mask = ends.cumsum(dim=1) <= ends
        assert torch.equal(ours.mask[:, 0], mask)
        assert torch.equal(ours.tokens[:, 0].masked_fill(~mask, 0), theirs.masked_fill(~mask, 0))
        assert len(set(ours.texts)) > SOURCES / 4
        assert bool(ends.any())
