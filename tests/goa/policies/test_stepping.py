"""A decoder computed from its weights, against transformers' own step."""

from collections.abc import Callable

import pytest
import torch

from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.attention_cache import SHORT
from goa.policies.encoder_decoder import EncoderDecoder, _DecoderWriting
from goa.policies.policy import Policy
from goa.policies.stepping import Stepper, read_decoder
from goa.policies.writing import Writing
from tests.conftest import SENTENCES

KINDS = ["marian", "bart", "t5"]
NUM_CANDIDATES = 3


def by_transformers(
    policy: EncoderDecoder, texts: list[str], num_candidates: int = NUM_CANDIDATES
) -> Writing:
    sources = policy.tokenize_sources(texts)
    states = policy.encode(sources).repeat_interleave(num_candidates, dim=0)
    return _DecoderWriting(policy, states, sources.mask.repeat_interleave(num_candidates, dim=0))


def ours(policy: Policy, texts: list[str], num_candidates: int = NUM_CANDIDATES) -> Writing:
    writing = policy.start(policy.tokenize_sources(texts), num_candidates)
    assert isinstance(writing, Stepper)
    return writing


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers_as_candidates_and_sources_drop_out(
    make_policy: Callable[..., EncoderDecoder], kind: str
) -> None:
    policy = make_policy(kind)
    texts = [SENTENCES[0], " ".join(SENTENCES[:3]), SENTENCES[1], SENTENCES[4]]
    one, two = ours(policy, texts), by_transformers(policy, texts)
    kept = {
        3: [0, 1, 2, 4, 6, 7, 8, 9, 11],  # one of the second source is gone, one of the last
        5: [0, 2, 4, 5, 6],  # of the last both, and one of the first
        SHORT: [1, 4],  # the first source's and the third's
        SHORT + 2: [0],
    }
    draws = torch.Generator().manual_seed(1)
    for step in range(31):  # as many as the policies have positions for
        torch.testing.assert_close(one.logits, two.logits)
        last = torch.randint(len(policy.tokenizer), (len(one.logits),), generator=draws)
        if step in kept:
            rows = torch.tensor(kept[step])
            last = last[rows]
            for writing in (one, two):
                writing.select(rows)
            torch.testing.assert_close(one.logits, two.logits)
        for writing in (one, two):
            writing.advance(last)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_candidates_may_go_on_as_several_each_with_its_own_past(
    make_policy: Callable[..., EncoderDecoder], kind: str
) -> None:
    policy = make_policy(kind)
    texts = [SENTENCES[0], " ".join(SENTENCES[:3])]
    one, two = ours(policy, texts, num_candidates=1), by_transformers(policy, texts, 1)
    draws = torch.Generator().manual_seed(1)
    chosen = [
        [0, 0, 0, 1, 1, 1],
        [1, 0, 0, 5, 3, 4],
        [2, 2, 1, 0, 3],  # fewer of one source
        [0, 1, 1, 0, 3, 4, 4, 4, 4],  # and more of the other
    ]
    for rows in chosen:
        for writing in (one, two):
            writing.select(torch.tensor(rows))
        torch.testing.assert_close(one.logits, two.logits)
        last = torch.randint(len(policy.tokenizer), (len(rows),), generator=draws)
        for writing in (one, two):
            writing.advance(last)
        torch.testing.assert_close(one.logits, two.logits)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_logits_are_near_those_of_transformers(
    make_policy: Callable[..., EncoderDecoder], kind: str
) -> None:
    policy = make_policy(kind)
    exact = ours(policy, SENTENCES)
    policy.precision = "bfloat16"
    one, two = ours(policy, SENTENCES), by_transformers(policy, SENTENCES)
    assert isinstance(one, Stepper)
    assert {values.dtype for source in one._source for values in source} == {torch.bfloat16}
    for step in range(5):
        assert one.logits.dtype == torch.float32
        rounding = (two.logits - exact.logits).abs().max()
        assert 0 < (one.logits - exact.logits).abs().max() < 3 * rounding
        for writing in (exact, one, two):
            writing.advance(torch.full((len(one.logits),), 5 + step))


def test_weights_are_read_as_they_are_when_writing_begins(
    make_policy: Callable[..., EncoderDecoder],
) -> None:
    policy = make_policy("marian")
    before = ours(policy, SENTENCES).logits
    with torch.no_grad():
        policy.model.get_decoder().layers[0].self_attn.v_proj.weight.mul_(2.0)
    assert not torch.equal(before, ours(policy, SENTENCES).logits)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_other_kinds_and_adapters_are_left_to_transformers(
    make_policy: Callable[..., Policy],
) -> None:
    assert read_decoder(make_policy("llama").model, torch.float32) is None
    for kind, names in [("marian", ["fc1"]), ("bart", ["embed_tokens"]), ("t5", ["wi_1"])]:
        policy = make_policy(kind)
        assert read_decoder(policy.model, torch.float32) is not None
        add_adapter(policy, AdapterSettings(rank=2, targets=names), seed=1)
        assert read_decoder(policy.model, torch.float32) is None
