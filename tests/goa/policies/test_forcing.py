"""Passes over given tokens, held against transformers' own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.policy import Policy
from goa.policies.storage import load_policy, save_policy
from goa.policies.tokens import Targets, Tokens
from tests.conftest import SENTENCES

TARGETS = [
    [SENTENCES[1], "a bird", "a bird", SENTENCES[3]],
    [SENTENCES[0], SENTENCES[0], SENTENCES[0], SENTENCES[0]],
    ["dog", SENTENCES[4], "the old door", "dog"],
]
"""K = 4 candidates of many lengths, some of them the same."""


def candidates(policy: Policy) -> tuple[Tokens, Tensor, Tensor]:
    """Lay sources and candidates out: sources, tokens and mask [B, K, T]."""
    found = policy.pad(policy.target_ids([text for row in TARGETS for text in row]))
    shape = (len(TARGETS), len(TARGETS[0]), -1)
    return policy.tokenize_sources(SENTENCES[:3]), found.ids.view(shape), found.mask.view(shape)


def weighed(log_probs: Tensor) -> Tensor:
    """Sum log-probs, each with a weight of its own."""
    return (log_probs * torch.arange(log_probs.numel()).view_as(log_probs).cos()).sum()


def gradients(policy: Policy, loss: Tensor) -> dict[str, Tensor]:
    """Give a loss's gradient by every weight's name."""
    policy.model.zero_grad()
    loss.backward()
    named = policy.model.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def by_transformers(policy: Policy, sources: Tokens, tokens: Tensor, mask: Tensor) -> Tensor:
    """Give log-probs, [B, K, T], by a whole model's pass over all candidates alike."""
    size, count, _ = tokens.shape
    rows = Targets(
        ids=tokens.flatten(0, 1),
        mask=mask.flatten(0, 1),
        sources=torch.arange(size).repeat_interleave(count),
    )
    logits, _ = policy._force(sources, rows, states=False)
    chosen = logits.log_softmax(dim=-1).gather(-1, rows.ids.unsqueeze(-1)).squeeze(-1)
    return chosen.masked_fill(~rows.mask, 0.0).view(tokens.shape)


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
def test_log_probs_and_gradients_are_those_of_transformers(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    policy = make_policy(architecture)
    policy.model.double()
    given = candidates(policy)
    theirs = by_transformers(policy, *given)
    expected = gradients(policy, weighed(theirs))
    scores = policy.score(*given)
    found = gradients(policy, weighed(scores.log_probs))
    # Root-mean-square norms of transformers are computed in float32, whatever comes in.
    rounding = {"marian": 1e-11, "bart": 1e-11, "t5": 1e-5, "llama": 1e-5}[architecture]
    torch.testing.assert_close(scores.log_probs, theirs, atol=rounding, rtol=0)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=rounding, rtol=rounding)


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
def test_of_a_stored_policy_the_same_weights_are_learnt(
    make_policy: Callable[..., Policy], architecture: str, tmp_path: Path
) -> None:
    save_policy(make_policy(architecture), tmp_path)
    policy = load_policy(tmp_path, torch.device("cpu"))
    given = candidates(policy)
    expected = gradients(policy, weighed(by_transformers(policy, *given)))
    assert gradients(policy, weighed(policy.score(*given).log_probs)).keys() == expected.keys()


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
def test_of_candidates_that_are_the_same_one_is_computed(
    make_policy: Callable[..., Policy], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(architecture)
    computed: list[Tensor] = []
    states = policy._states

    def watched(sources: Tokens, targets: Targets) -> Tensor:
        computed.append(targets.sources)
        return states(sources, targets)

    monkeypatch.setattr(policy, "_states", watched)
    policy.score(*candidates(policy))
    assert [found.tolist() for found in computed] == [[0, 0, 0, 1, 2, 2, 2]]


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5"])
def test_a_source_is_looked_at_once_for_all_its_candidates(
    make_policy: Callable[..., Policy], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(architecture)
    seen: list[tuple[int, ...]] = []
    attend = functional.scaled_dot_product_attention

    def watched(queries: Tensor, keys: Tensor, values: Tensor, **how: object) -> Tensor:
        if "is_causal" not in how:
            seen.append(keys.shape)
        return attend(queries, keys, values, **how)  # type: ignore[arg-type]

    sources, tokens, mask = candidates(policy)
    with torch.no_grad():
        encoded = policy.encode(sources)  # type: ignore[attr-defined]
    monkeypatch.setattr(EncoderDecoder, "encode", lambda *_: encoded)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    policy.score(sources, tokens, mask)
    assert seen == [(3, 2, sources.ids.shape[1], 8)] * 2


@pytest.mark.parametrize("architecture", ["marian", "bart"])
def test_what_is_dropped_is_what_transformers_drops(
    make_policy: Callable[..., Policy], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(architecture)
    policy.model.double()
    for layer in policy.model.get_decoder().layers:
        layer.activation_dropout = 0.3

    def marked(values: Tensor, p: float = 0.5, training: bool = True, **_: object) -> Tensor:
        return values * (1 + p) if training else values

    monkeypatch.setattr(functional, "dropout", marked)
    policy.learn(dropout=True)
    given = candidates(policy)
    scores = policy.score(*given).log_probs
    torch.testing.assert_close(scores, by_transformers(policy, *given), atol=1e-12, rtol=0)
    policy.model.eval()
    assert (policy.score(*given).log_probs != scores).any()


def test_both_kinds_of_attention_are_dropped_from(
    make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(dropout=0.0)
    given = candidates(policy)
    with torch.no_grad():
        encoded = policy.encode(given[0])  # type: ignore[attr-defined]
    monkeypatch.setattr(EncoderDecoder, "encode", lambda *_: encoded)
    policy.learn(dropout=True)
    for layer in policy.model.get_decoder().layers:
        layer.self_attn.dropout = 0.5
    seen: list[object] = []
    attend = functional.scaled_dot_product_attention

    def watched(*states: Tensor, **how: object) -> Tensor:
        seen.append(how["dropout_p"])
        return attend(*states, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    policy.score(*given)
    assert seen == [0.5] * 4


def test_where_whole_layers_are_dropped_transformers_does_it(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy(dropout=0.0)
    given = candidates(policy)
    policy.learn(dropout=True)
    calm = policy.score(*given).log_probs
    policy.model.get_decoder().layerdrop = 1.0
    assert (policy.score(*given).log_probs != calm).any()
