"""What a policy computes on, how exactly, and what it keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, SampleSettings
from goa.errors import PolicyError
from goa.policies.compute import set_up, use_device
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy, save_policy
from tests.conftest import SENTENCES

ARCHITECTURES = ["marian", "bart", "t5", "llama"]


def test_threads_are_set() -> None:
    use_device(ComputeSettings(device="cpu"), threads=2)
    assert torch.get_num_threads() == 2


def test_a_gpu_that_is_demanded_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PolicyError, match=r"compute\.device is cuda, but torch sees no GPU"):
        use_device(ComputeSettings(device="cuda"), threads=1)
    assert use_device(ComputeSettings(device="auto"), threads=1).type == "cpu"


def test_each_process_has_the_gpu_of_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert use_device(ComputeSettings(device="auto"), 1, 3) == torch.device("cuda", 3)


def gradient(policy: Policy, *, dropout: bool = False) -> dict[str, torch.Tensor]:
    targets = policy.pad(policy.target_ids(SENTENCES[::-1]))
    sources = policy.tokenize_sources(SENTENCES)
    policy.model.zero_grad()
    policy.learn(dropout=dropout)
    torch.manual_seed(1)
    policy.score(sources, targets.ids[:, None], targets.mask[:, None]).log_probs.sum().backward()
    policy.model.eval()
    return {
        name: weight.grad.clone()
        for name, weight in policy.model.named_parameters()
        if weight.requires_grad
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_checkpointed_gradients_are_the_same_and_come_without_dropout(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    plain, checkpointed = (make_policy(architecture, dropout=0.5) for _ in range(2))
    set_up(checkpointed, ComputeSettings(gradient_checkpointing=True), dropout=False)
    calls = []
    layers = [m for m in checkpointed.model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        inner = next(module for module in layer.modules() if isinstance(module, torch.nn.Linear))
        inner.register_forward_hook(lambda *_: calls.append(1))
    found, expected = gradient(checkpointed), gradient(plain)
    assert len(calls) == 2 * len(layers)  # forward, and once more on the way back
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-5), name
    dropped = gradient(plain, dropout=True)
    assert any(not torch.allclose(dropped[name], expected[name], atol=1e-2) for name in dropped)


def test_a_policy_is_told_how_many_tokens_to_hold(policy: Policy) -> None:
    set_up(policy, ComputeSettings(tokens_at_once=99), dropout=False)
    assert policy.tokens_at_once == 99
    set_up(policy, ComputeSettings(), dropout=False)
    assert policy.tokens_at_once is None


def test_a_policy_is_told_whether_to_record_its_steps(policy: Policy) -> None:
    set_up(policy, ComputeSettings(cuda_graphs=True), dropout=False)
    assert policy.cuda_graphs
    set_up(policy, ComputeSettings(), dropout=False)
    assert not policy.cuda_graphs


def test_a_saved_policy_does_not_remember_that_its_dropout_was_silenced(
    policy: Policy, tmp_path: Path
) -> None:
    set_up(policy, ComputeSettings(gradient_checkpointing=True), dropout=False)
    save_policy(policy, tmp_path)
    assert load_policy(tmp_path, torch.device("cpu")).model.config.dropout == 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bfloat16_is_near_and_keeps_weights_and_sums_in_float32(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    exact, rough = make_policy(architecture), make_policy(architecture)
    set_up(rough, ComputeSettings(precision="bfloat16"), dropout=False)
    targets = exact.pad(exact.target_ids(SENTENCES[::-1]))
    sources = exact.tokenize_sources(SENTENCES)
    with torch.no_grad():
        scores = [
            policy.score(sources, targets.ids[:, None], targets.mask[:, None]).log_probs
            for policy in (exact, rough)
        ]
    assert scores[1].dtype == torch.float32
    assert torch.allclose(scores[0], scores[1], atol=0.1)
    assert not torch.allclose(scores[0], scores[1], atol=1e-5)
    assert all(weight.dtype == torch.float32 for weight in rough.model.parameters())
    assert all(value.dtype == torch.float32 for value in gradient(rough).values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_policy_writes_in_bfloat16(make_policy: Callable[..., Policy], architecture: str) -> None:
    policy = make_policy(architecture)
    set_up(policy, ComputeSettings(precision="bfloat16"), dropout=False)
    sources = policy.tokenize_sources(SENTENCES)
    for strategy in (
        SampleSettings(kind="sample", num_candidates=2, max_tokens=8),
        BeamSettings(kind="beam", num_beams=2, max_tokens=8),
    ):
        written = generate(policy, sources, strategy, 1, SENTENCES)
        with torch.no_grad():
            scores = policy.score(sources, written.tokens, written.mask).log_probs
        assert written.log_probs.dtype == torch.float32
        assert torch.allclose(written.log_probs, scores, atol=0.15)


def test_checkpointed_gradients_come_with_dropout_where_it_is_trained_with(
    make_policy: Callable[..., Policy],
) -> None:
    plain, checkpointed = (make_policy("marian", dropout=0.5) for _ in range(2))
    set_up(checkpointed, ComputeSettings(gradient_checkpointing=True), dropout=True)
    found, without = gradient(checkpointed, dropout=True), gradient(plain)
    assert any(not torch.allclose(found[name], without[name], atol=1e-2) for name in found)
