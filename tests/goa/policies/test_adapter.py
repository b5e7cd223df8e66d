"""Adapters: only they are trained, and the model is what it was without them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from goa.errors import PolicyError
from goa.policies.adapter import AdapterSettings, add_adapter, merge_adapter
from goa.policies.policy import Policy
from goa.policies.storage import load_policy, save_policy
from goa.trainer.anchor import Anchor
from goa.trainer.settings import DivergenceSettings
from tests.bomb import plant
from tests.conftest import SENTENCES
from tests.goa.trainer.conftest import candidates

ARCHITECTURES = ["marian", "llama"]


def log_probs(policy: Policy) -> torch.Tensor:
    targets = policy.pad(policy.target_ids(SENTENCES[::-1]))
    sources = policy.tokenize_sources(SENTENCES)
    with torch.no_grad():
        return policy.score(sources, targets.ids[:, None], targets.mask[:, None]).log_probs


def shake(policy: Policy) -> None:
    """Train, as it were: move everything that may be trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


@pytest.fixture(params=ARCHITECTURES)
def plain(make_policy: Callable[..., Policy], request: pytest.FixtureRequest) -> Policy:
    return make_policy(request.param)


def test_it_changes_nothing_until_it_is_trained_and_then_it_alone_changes(plain: Policy) -> None:
    before = log_probs(plain)
    kept = {name: weight.clone() for name, weight in plain.model.named_parameters()}
    add_adapter(plain, AdapterSettings(rank=2), seed=1)
    with plain.without_adapter():
        untouched = log_probs(plain)
    assert torch.equal(log_probs(plain), untouched)
    # Layers with adapters are computed by transformers, whose sums may be in another order: one
    # unit in the last place of numbers about 4.
    assert torch.allclose(untouched, before, rtol=0, atol=5e-7)
    trained = [name for name, weight in plain.model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)
    shake(plain)
    assert not torch.allclose(log_probs(plain), before, atol=1e-3)
    with plain.without_adapter():
        assert torch.equal(log_probs(plain), untouched)
    merge_adapter(plain)
    changed = [
        name
        for name, weight in plain.model.named_parameters()
        if not torch.equal(weight, kept[name])
    ]
    assert len(changed) == len(trained) // 2  # two factors stand for each matrix


def test_merged_it_is_a_plain_model(plain: Policy, tmp_path: Path) -> None:
    add_adapter(plain, AdapterSettings(rank=2), seed=1)
    shake(plain)
    expected = log_probs(plain)
    merge_adapter(plain)
    save_policy(plain, tmp_path)
    auto = AutoModelForSeq2SeqLM if plain.model.config.is_encoder_decoder else AutoModelForCausalLM
    _, report = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert not report["missing_keys"]
    loaded = load_policy(tmp_path, torch.device("cpu"))
    assert torch.allclose(log_probs(loaded), expected, atol=1e-5)


def test_alone_it_is_small_and_finds_its_base(
    plain: Policy, make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    save_policy(plain, tmp_path / "base")
    policy = load_policy(tmp_path / "base", torch.device("cpu"))
    add_adapter(policy, AdapterSettings(rank=1, save="alone"), seed=1)
    shake(policy)
    save_policy(policy, tmp_path / "adapter")
    assert (tmp_path / "adapter/adapter_model.safetensors").exists()
    assert not (tmp_path / "adapter/model.safetensors").exists()
    loaded = load_policy(tmp_path / "adapter", torch.device("cpu"))
    assert type(loaded) is type(plain)
    assert torch.allclose(log_probs(loaded), log_probs(policy), atol=1e-5)


def test_an_adapter_with_pickled_weights_is_refused_and_they_are_not_opened(
    policy: Policy, tmp_path: Path
) -> None:
    save_policy(policy, tmp_path / "base")
    policy = load_policy(tmp_path / "base", torch.device("cpu"))
    add_adapter(policy, AdapterSettings(rank=1, save="alone"), seed=1)
    save_policy(policy, tmp_path / "adapter")
    (tmp_path / "adapter/adapter_model.safetensors").unlink()
    plant(tmp_path / "adapter/adapter_model.bin", tmp_path / "went_off")
    with pytest.raises(
        PolicyError, match=r"adapter_model\.bin is a pickle, which goa does not open"
    ):
        load_policy(tmp_path / "adapter", torch.device("cpu"))
    assert not (tmp_path / "went_off").exists()


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("adapter_model.safetensors", b"nothing", "adapter: not an adapter of this model: "),
        ("adapter_config.json", b"{", "adapter_config.json: "),
        (
            "adapter_config.json",
            b'{"peft_type": "LORA"}',
            "adapter_config.json: names no base model",
        ),
    ],
)
def test_files_that_make_no_adapter_are_named(
    policy: Policy, tmp_path: Path, file: str, content: bytes, told: str
) -> None:
    save_policy(policy, tmp_path / "base")
    policy = load_policy(tmp_path / "base", torch.device("cpu"))
    add_adapter(policy, AdapterSettings(rank=1, save="alone"), seed=1)
    save_policy(policy, tmp_path / "adapter")
    (tmp_path / "adapter" / file).write_bytes(content)
    with pytest.raises(PolicyError, match=told):
        load_policy(tmp_path / "adapter", torch.device("cpu"))


def test_an_adapter_whose_base_is_itself_is_refused(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    policy = load_policy(tmp_path, torch.device("cpu"))
    add_adapter(policy, AdapterSettings(rank=1, save="alone"), seed=1)
    save_policy(policy, tmp_path)  # beside the model that it was made from
    with pytest.raises(PolicyError, match="is an adapter too"):
        load_policy(tmp_path, torch.device("cpu"))


def test_the_frozen_base_is_the_anchor_without_a_second_copy(policy: Policy) -> None:
    rollout = candidates(policy)
    add_adapter(policy, AdapterSettings(rank=2), seed=1)
    anchor = Anchor(policy, DivergenceSettings())
    assert anchor._pretrained.model is policy.model
    shake(policy)
    found = anchor.attach(rollout, 1000)
    assert found.pretrained_log_probs is not None
    assert rollout.log_probs is not None
    assert torch.allclose(found.pretrained_log_probs, rollout.log_probs, atol=1e-5)
    moved = policy.score(rollout.sources, rollout.tokens, rollout.mask).log_probs
    assert not torch.allclose(moved, rollout.log_probs, atol=1e-3)


def test_equal_seeds_make_equal_adapters(make_policy: Callable[..., Policy]) -> None:
    def factors(seed: int) -> torch.Tensor:
        policy = make_policy()
        add_adapter(policy, AdapterSettings(rank=2), seed)
        return torch.cat([w.flatten() for w in policy.model.parameters() if w.requires_grad])

    assert torch.equal(factors(1), factors(1))
    assert not torch.equal(factors(1), factors(2))


def test_the_targets_are_the_ones_that_are_named(policy: Policy) -> None:
    add_adapter(policy, AdapterSettings(rank=2, targets=["q_proj"]), seed=1)
    trained = [name for name, weight in policy.model.named_parameters() if weight.requires_grad]
    assert all("q_proj" in name for name in trained)
    assert len(trained) == 2 * 6  # self-attention in 4 layers, cross-attention in 2


def test_targets_that_do_not_exist_are_refused(policy: Policy) -> None:
    with pytest.raises(PolicyError, match=r"finetune.adapter: Target modules .*no_such"):
        add_adapter(policy, AdapterSettings(targets=["no_such"]), seed=1)


def test_without_peft_it_says_what_to_install(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(PolicyError, match=r"pip install 'goa\[peft\]'"):
        add_adapter(policy, AdapterSettings(), seed=1)
