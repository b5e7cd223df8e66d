"""Teacher forcing with prompts read once, against transformers' forward over repeated prompts."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt_decoder import PromptDecoder, read_prompt_decoder
from goa.policies.prompt_forcing import forced_states
from goa.policies.tokens import Tokens
from tests.conftest import SENTENCES
from tests.goa.policies.llamas import KINDS, decoder_only

TEXTS = [SENTENCES[0], " ".join(SENTENCES[:2]), SENTENCES[4]]
NUM_CANDIDATES = 2


def reader(policy: Policy) -> PromptDecoder:
    decoder = read_prompt_decoder(policy.model, policy.model.dtype)
    assert decoder is not None
    return decoder


def batch(policy: Policy, width: int = 6) -> tuple[Tokens, Tensor, Tensor]:
    """Make prompts of several lengths, whose embeddings are moved, and candidates of several."""
    draws = torch.Generator().manual_seed(1)
    sources = policy.tokenize_sources(TEXTS)
    rows = len(TEXTS) * NUM_CANDIDATES
    tokens = torch.randint(3, len(policy.tokenizer), (rows, width), generator=draws)
    lengths = torch.arange(rows) % width + 1
    mask = torch.arange(width) < lengths.unsqueeze(1)
    offsets = torch.randn(
        *sources.ids.shape, policy.state_size, generator=draws, dtype=policy.model.dtype
    )
    moved = Tokens(ids=sources.ids, mask=sources.mask, offsets=offsets.requires_grad_())
    return moved, tokens.masked_fill(~mask, policy.pad_id), mask


def in_float64(policy: DecoderOnly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make transformers compute all in float64; its norms fall back to float32 of themselves."""
    policy.model.double()

    def normalise(self: torch.nn.Module, values: Tensor) -> Tensor:
        return functional.rms_norm(values, self.weight.shape, self.weight, self.variance_epsilon)

    monkeypatch.setattr(type(policy.model.model.norm), "forward", normalise)


def gradients(policy: Policy, logits: Tensor, mask: Tensor, offsets: Tensor) -> dict[str, Tensor]:
    """Take those of a loss that asks each logit for something else."""
    draws = torch.Generator().manual_seed(2)
    wanted = torch.randn(logits.shape, generator=draws, dtype=logits.dtype)
    loss = (logits.tanh() * wanted)[mask].sum()
    named = dict(policy.model.named_parameters()) | {"offsets": offsets}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.parametrize("width", [1, 2, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_states_and_all_gradients_are_those_of_transformers(
    make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch, kind: str, width: int
) -> None:
    policy = decoder_only(make_policy, KINDS[kind])
    in_float64(policy, monkeypatch)
    sources, tokens, mask = batch(policy, width)
    assert sources.offsets is not None
    logits, states = policy._force(sources, tokens, mask, states=True)
    assert states is not None
    decoder = reader(policy)
    found = forced_states(decoder, sources, tokens)
    torch.testing.assert_close(found[mask], states[mask], rtol=0, atol=1e-9)
    expected = gradients(policy, logits, mask, sources.offsets)
    for name, gradient in gradients(policy, decoder.head(found), mask, sources.offsets).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-9, msg=name)


@torch.no_grad()
def test_in_float32_states_are_those_of_transformers_as_it_is(
    make_policy: Callable[..., Policy],
) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    sources, tokens, mask = batch(policy)
    _, states = policy._force(sources, tokens, mask, states=True)
    assert states is not None
    found = forced_states(reader(policy), sources, tokens)
    torch.testing.assert_close(found[mask], states[mask], rtol=0, atol=1e-5)


def test_in_bfloat16_products_states_and_gradients_are_near(
    make_policy: Callable[..., Policy],
) -> None:
    policy = decoder_only(make_policy, KINDS["head norms"])
    sources, tokens, mask = batch(policy)
    assert sources.offsets is not None
    decoder = reader(policy)
    exact = forced_states(decoder, sources, tokens)
    policy.precision = "bfloat16"
    with policy.arithmetic():
        found = forced_states(decoder, sources, tokens)
        _, states = policy._force(sources, tokens, mask, states=True)
    assert states is not None
    rounding = (states - exact)[mask].abs().max()
    assert 0 < (found - exact)[mask].abs().max() < 3 * rounding
    one, two = (torch.autograd.grad(s[mask].sum(), sources.offsets)[0] for s in (found, states))
    assert functional.cosine_similarity(one.flatten(), two.flatten(), dim=0) > 0.99


@torch.no_grad()
def test_each_prompt_is_read_once(make_policy: Callable[..., Policy]) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    sources, tokens, _ = batch(policy)
    counts = []
    for layer in policy.model.model.layers:
        layer.mlp.act_fn.register_forward_hook(lambda _, __, found: counts.append(len(found)))
    forced_states(reader(policy), sources, tokens)
    assert set(counts) == {sources.ids.numel() + tokens[:, :-1].numel()}


@torch.no_grad()
def test_attention_is_dropped_in_training_as_transformers_drops_it(
    make_policy: Callable[..., Policy],
) -> None:
    kind, changes = KINDS["llama"]
    policy = decoder_only(make_policy, (kind, {**changes, "attention_dropout": 0.5}))
    sources, tokens, mask = batch(policy)
    still = forced_states(reader(policy), sources, tokens)[mask]
    torch.testing.assert_close(still, forced_states(reader(policy), sources, tokens)[mask])
    policy.model.train()
    torch.manual_seed(1)
    ours, theirs = [], []
    for _ in range(200):
        ours.append(forced_states(reader(policy), sources, tokens)[mask])
        _, states = policy._force(sources, tokens, mask, states=True)
        assert states is not None
        theirs.append(states[mask])
    one, two = torch.stack(ours), torch.stack(theirs)
    shift = (two.mean(dim=0) - still).abs().mean()
    assert (one.mean(dim=0) - two.mean(dim=0)).abs().mean() < 0.25 * shift
    torch.testing.assert_close(one.std(dim=0).mean(), two.std(dim=0).mean(), rtol=0.03, atol=0)
