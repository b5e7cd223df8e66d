"""Models that take no positions."""

from collections.abc import Callable

import pytest
import torch
from transformers import BloomConfig

from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from tests.conftest import SENTENCES
from tests.goa.policies.llamas import decoder_only

ROUNDING = 1e-5


@pytest.fixture
def bloom(make_policy: Callable[..., Policy]) -> DecoderOnly:
    """Give a policy whose attention fades with distance, in the place of positions."""
    return decoder_only(make_policy, (BloomConfig, {"n_layer": 2, "n_head": 2}))


def log_probs(policy: Policy, source: str, target: str) -> torch.Tensor:
    targets = policy.pad(policy.target_ids([target]))
    sources = policy.tokenize_sources([source])
    with torch.no_grad():
        return policy.score(sources, targets.ids[:, None], targets.mask[:, None]).log_probs[0, 0]


def test_a_model_without_positions_reads_the_same_beside_longer_sources(
    bloom: DecoderOnly,
) -> None:
    targets = bloom.pad(bloom.target_ids(SENTENCES[::-1]))
    sources = bloom.tokenize_sources(SENTENCES)
    assert not sources.mask.all()
    with torch.no_grad():
        scores = bloom.score(sources, targets.ids[:, None], targets.mask[:, None]).log_probs
    for row, (source, target) in enumerate(zip(SENTENCES, SENTENCES[::-1], strict=True)):
        alone = log_probs(bloom, source, target)
        torch.testing.assert_close(scores[row, 0, : len(alone)], alone, rtol=0, atol=ROUNDING)


def test_a_model_without_positions_is_told_none(bloom: DecoderOnly) -> None:
    told: list[set[str]] = []
    bloom.model.register_forward_pre_hook(
        lambda _, __, given: told.append(set(given)), with_kwargs=True
    )
    bloom.read(bloom.tokenize_sources(SENTENCES))
    log_probs(bloom, SENTENCES[0], SENTENCES[1])
    assert len(told) == 2
    assert all("attention_mask" in names and "position_ids" not in names for names in told)


def test_a_model_without_positions_writes_what_it_finds_likeliest(bloom: DecoderOnly) -> None:
    strategy = GreedySettings(kind="greedy", max_tokens=6)
    sources = bloom.tokenize_sources(SENTENCES)
    written = generate(bloom, sources, strategy, 1, SENTENCES)
    with torch.no_grad():
        scores = bloom.score(sources, written.tokens, written.mask).log_probs
    torch.testing.assert_close(written.log_probs, scores, rtol=0, atol=ROUNDING)
