"""A policy's log-probabilities mean what they say."""

from collections.abc import Callable

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.errors import PolicyError
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.tokens import Tokens
from tests.conftest import SENTENCES

ENCODER_DECODERS = ["marian", "bart", "t5"]
ARCHITECTURES = [*ENCODER_DECODERS, "llama"]


def score(policy: Policy, sources: list[str], targets: list[list[str]]) -> torch.Tensor:
    """Teacher-forced log-probs [B, K, T] of the targets."""
    rows = policy.pad(policy.target_ids([text for row in targets for text in row]))
    shape = (len(targets), len(targets[0]), -1)
    with torch.no_grad():
        return policy.score(
            policy.tokenize_sources(sources), rows.ids.view(shape), rows.mask.view(shape)
        ).log_probs


@pytest.mark.parametrize("architecture", ENCODER_DECODERS)
def test_log_probs_are_those_of_the_models_own_cross_entropy(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    policy = make_policy(architecture)
    labels = torch.tensor(policy.target_ids(SENTENCES[:1]))
    sources = policy.tokenize_sources(SENTENCES[1:2])
    with torch.no_grad():
        loss = policy.model(
            input_ids=sources.ids, attention_mask=sources.mask.long(), labels=labels
        ).loss
    ours = score(policy, SENTENCES[1:2], [SENTENCES[:1]])
    assert float(-ours.sum() / labels.numel()) == pytest.approx(float(loss), abs=1e-6)


def test_only_the_completion_of_a_prompt_counts(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("llama")
    prompt = policy.source_ids(SENTENCES[1:2])[0]
    target = policy.target_ids(SENTENCES[:1])[0]
    labels = torch.tensor([[-100] * len(prompt) + target])
    with torch.no_grad():
        loss = policy.model(input_ids=torch.tensor([prompt + target]), labels=labels).loss
    ours = score(policy, SENTENCES[1:2], [SENTENCES[:1]])
    assert float(-ours.sum() / len(target)) == pytest.approx(float(loss), abs=1e-6)


def test_padding_of_prompts_changes_no_gradient(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("llama")

    def gradient(rows: list[int]) -> dict[str, torch.Tensor]:
        policy.model.zero_grad()
        for row in rows if len(rows) == 1 else [slice(0, 2)]:
            chosen = SENTENCES[row : row + 1] if isinstance(row, int) else SENTENCES[row]
            targets = policy.pad(policy.target_ids(chosen))
            policy.score(
                policy.tokenize_sources(chosen), targets.ids[:, None], targets.mask[:, None]
            ).log_probs.sum().backward()
        return {name: weight.grad.clone() for name, weight in policy.model.named_parameters()}

    together, one, two = gradient([0, 1]), gradient([0]), gradient([1])
    for name, found in together.items():
        assert torch.allclose(found, one[name] + two[name], atol=1e-5), name
        assert found.isfinite().all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_changing_the_last_token_changes_no_earlier_log_prob(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    policy = make_policy(architecture)
    sources = policy.tokenize_sources(SENTENCES[:1])
    tokens = torch.tensor(policy.target_ids(SENTENCES[1:2])).unsqueeze(1)
    changed = tokens.clone()
    changed[..., -1] = (changed[..., -1] + 5) % len(policy.tokenizer)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    with torch.no_grad():
        before = policy.score(sources, tokens, mask).log_probs
        after = policy.score(sources, changed, mask).log_probs
    assert torch.equal(before[..., :-1], after[..., :-1])
    assert before[..., -1] != after[..., -1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_batch_order_change_nothing(
    make_policy: Callable[..., Policy], architecture: str
) -> None:
    policy = make_policy(architecture)
    targets = [[SENTENCES[1], SENTENCES[0]], [SENTENCES[2], SENTENCES[4]]]
    together = score(policy, SENTENCES[:2], targets)
    swapped = score(policy, SENTENCES[1::-1], targets[::-1])
    assert torch.allclose(together, swapped.flip(0), atol=1e-5)
    for row in (0, 1):  # one of the two sources is padded beside the other
        alone = score(policy, SENTENCES[row : row + 1], targets[row : row + 1])
        assert torch.allclose(together[row, :, : alone.shape[-1]], alone[0], atol=1e-5)


def test_what_lies_off_the_mask_is_exactly_zero(policy: Policy) -> None:
    log_probs = score(policy, SENTENCES[:2], [[SENTENCES[1]], [SENTENCES[4]]])
    short = len(policy.target_ids([SENTENCES[4]])[0])
    assert log_probs.shape[-1] > short
    assert torch.equal(log_probs[1, 0, short:], torch.zeros(log_probs.shape[-1] - short))


def test_entropy_and_mean_log_prob_are_those_of_the_whole_distribution(policy: Policy) -> None:
    sources = policy.tokenize_sources(SENTENCES[:1])
    size = len(policy.tokenizer)
    every_token = torch.arange(size).view(1, size, 1)
    mask = torch.ones_like(every_token, dtype=torch.bool)
    with torch.no_grad():
        scores = policy.score(sources, every_token, mask, entropy="value")
    assert scores.entropy is not None
    log_probs = scores.log_probs.flatten()
    assert float(log_probs.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    entropy = float(-(log_probs.exp() * log_probs).sum())
    assert float(scores.entropy[0, 0, 0]) == pytest.approx(entropy, abs=1e-5)
    assert float(scores.mean_log_probs[0, 0, 0]) == pytest.approx(float(log_probs.mean()), abs=1e-5)


def test_sources_are_encoded_once_however_many_candidates(policy: Policy) -> None:
    rows: list[int] = []
    policy.model.get_encoder().register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    score(policy, SENTENCES[:2], [SENTENCES[:4], SENTENCES[:4]])
    assert rows == [2]


def test_text_comes_back_from_ids(policy: Policy) -> None:
    assert policy.texts(policy.target_ids(SENTENCES)) == SENTENCES


def test_a_source_longer_than_the_positions_is_refused_with_its_text(policy: Policy) -> None:
    with pytest.raises(PolicyError, match=r"longer than the model's 32 positions: 'dog dog"):
        policy.tokenize_sources(["dog " * 40])


def test_taking_rows_drops_columns_that_are_padding_in_all_of_them() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert Tokens(ids=torch.ones(2, 3).long(), mask=mask)[1:].ids.shape == (1, 1)


def test_padding_of_prompts_does_not_move_learned_positions(
    make_policy: Callable[..., Policy],
) -> None:
    """A Llama's positions are relative and forgive a shift; a GPT-2's are looked up."""
    tokenizer = make_policy("llama").tokenizer
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )
    torch.manual_seed(1)
    policy = DecoderOnly(GPT2LMHeadModel(config).eval(), tokenizer, PromptSettings())
    targets = [[SENTENCES[0]], [SENTENCES[2]]]
    together = score(policy, SENTENCES[:2], targets)
    for row in (0, 1):
        alone = score(policy, SENTENCES[row : row + 1], targets[row : row + 1])
        assert torch.allclose(together[row, :, : alone.shape[-1]], alone[0], atol=1e-4)
    strategy = GreedySettings(kind="greedy", max_tokens=6)
    sources = policy.tokenize_sources(SENTENCES)
    written = generate(policy, sources, strategy, 0, SENTENCES)
    with torch.no_grad():
        scores = policy.score(sources, written.tokens, written.mask).log_probs
    assert torch.allclose(written.log_probs, scores, atol=1e-4)
