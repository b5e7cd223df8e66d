"""Decoders of Llama's kind computed from their weights, against transformers' own step."""

from collections.abc import Callable

import pytest
import torch
from transformers import (
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.decoder_only import DecoderOnly, _PromptWriting
from goa.policies.keys import ROOM
from goa.policies.policy import Policy
from goa.policies.prompt_decoder import read_prompt_decoder
from goa.policies.prompt_stepping import PromptStepper
from goa.policies.writing import Writing
from tests.conftest import SENTENCES
from tests.goa.policies.llamas import KINDS, Kind, decoder_only

NUM_CANDIDATES = 3
TEXTS = [SENTENCES[0], " ".join(SENTENCES[:3]), SENTENCES[1], SENTENCES[4]]


def by_transformers(
    policy: DecoderOnly, texts: list[str], num_candidates: int = NUM_CANDIDATES
) -> Writing:
    sources = policy.tokenize_sources(texts)
    return _PromptWriting(policy, policy.read(sources), sources.mask, num_candidates)


def ours(policy: Policy, texts: list[str], num_candidates: int = NUM_CANDIDATES) -> Writing:
    writing = policy.start(policy.tokenize_sources(texts), num_candidates)
    assert isinstance(writing, PromptStepper)
    return writing


def assert_same_logits(one: Writing, two: Writing) -> None:
    torch.testing.assert_close(one.logits, two.logits, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers_as_candidates_and_prompts_drop_out(
    make_policy: Callable[..., Policy], kind: str
) -> None:
    policy = decoder_only(make_policy, KINDS[kind])
    one, two = ours(policy, TEXTS), by_transformers(policy, TEXTS)
    kept = {
        3: [0, 1, 2, 4, 6, 7, 8, 9, 11],  # one of the second prompt is gone, one of the last
        5: [0, 2, 4, 5, 6],  # of the last both, and one of the first
        9: [1, 4],  # the first prompt's and the third's
        ROOM + 2: [0],
    }
    draws = torch.Generator().manual_seed(1)
    for step in range(ROOM + 4):
        assert_same_logits(one, two)
        last = torch.randint(len(policy.tokenizer), (len(one.logits),), generator=draws)
        if step in kept:
            rows = torch.tensor(kept[step])
            last = last[rows]
            for writing in (one, two):
                writing.select(rows)
            assert_same_logits(one, two)
        for writing in (one, two):
            writing.advance(last)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "shared keys"])
def test_candidates_may_go_on_as_several_each_with_its_own_past(
    make_policy: Callable[..., Policy], kind: str
) -> None:
    policy = decoder_only(make_policy, KINDS[kind])
    one, two = ours(policy, TEXTS[:2], num_candidates=1), by_transformers(policy, TEXTS[:2], 1)
    draws = torch.Generator().manual_seed(1)
    chosen = [
        [0, 0, 0, 1, 1, 1],
        [1, 0, 0, 5, 3, 4],
        [2, 2, 1, 0, 3],  # fewer of one prompt
        [0, 1, 1, 0, 3, 4, 4, 4, 4],  # and more of the other
    ]
    for rows in chosen:
        for writing in (one, two):
            writing.select(torch.tensor(rows))
        assert_same_logits(one, two)
        last = torch.randint(len(policy.tokenizer), (len(rows),), generator=draws)
        for writing in (one, two):
            writing.advance(last)
        assert_same_logits(one, two)


@torch.no_grad()
def test_in_bfloat16_logits_are_near_those_of_transformers(
    make_policy: Callable[..., Policy],
) -> None:
    policy = decoder_only(make_policy, KINDS["head norms"])
    exact = ours(policy, TEXTS)
    policy.precision = "bfloat16"
    one, two = ours(policy, TEXTS), by_transformers(policy, TEXTS)
    assert isinstance(one, PromptStepper)
    assert {each._values.dtype for each in one._attentions} == {torch.bfloat16}
    for step in range(5):
        assert one.logits.dtype == torch.float32
        rounding = (two.logits - exact.logits).abs().max()
        assert 0 < (one.logits - exact.logits).abs().max() < 3 * rounding
        for writing in (exact, one, two):
            writing.advance(torch.full((len(one.logits),), 5 + step))


@torch.no_grad()
def test_prompts_are_not_copied(make_policy: Callable[..., Policy]) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    one = ours(policy, TEXTS, num_candidates=50)
    assert isinstance(one, PromptStepper)
    one.advance(torch.full((len(one.logits),), 5))
    assert {len(each._keys) for each in one._attentions} == {len(TEXTS)}


OTHERS: list[Kind] = [
    (GPT2Config, {}),
    (LlamaConfig, {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}),
    (MistralConfig, {"sliding_window": 4}),
    (Qwen2Config, {"use_sliding_window": True, "max_window_layers": 1}),
    (Qwen3Config, {"use_sliding_window": True, "max_window_layers": 1}),
]


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind[0].model_type)
def test_other_kinds_are_left_to_transformers(
    make_policy: Callable[..., Policy], kind: Kind
) -> None:
    policy = decoder_only(make_policy, kind)
    assert read_prompt_decoder(policy.model, torch.float32) is None
    sources = policy.tokenize_sources(TEXTS)
    with torch.no_grad():
        assert isinstance(policy.start(sources, NUM_CANDIDATES), _PromptWriting)


def test_adapters_are_left_to_transformers(make_policy: Callable[..., Policy]) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    assert read_prompt_decoder(policy.model, torch.float32) is not None
    add_adapter(policy, AdapterSettings(rank=2, targets=["up_proj"]), seed=1)
    assert read_prompt_decoder(policy.model, torch.float32) is None
