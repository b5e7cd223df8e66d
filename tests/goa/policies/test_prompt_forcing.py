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
from goa.policies.tokens import Targets, Tokens
from tests.conftest import SENTENCES
from tests.goa.policies.llamas import KINDS, decoder_only

TEXTS = [SENTENCES[0], " ".join(SENTENCES[:2]), SENTENCES[4]]
SOURCES = [0, 0, 1, 2, 2, 2]
"""Which prompt each candidate goes on from."""


def reader(policy: Policy) -> PromptDecoder:
    decoder = read_prompt_decoder(policy.model, policy.model.dtype)
    assert decoder is not None
    return decoder


def batch(policy: Policy, width: int = 6) -> tuple[Tokens, Targets]:
    """Make prompts of several lengths, whose embeddings are moved, and candidates of several."""
    draws = torch.Generator().manual_seed(1)
    sources = policy.tokenize_sources(TEXTS)
    tokens = torch.randint(3, len(policy.tokenizer), (len(SOURCES), width), generator=draws)
    lengths = torch.arange(len(SOURCES)) % width + 1
    mask = torch.arange(width) < lengths.unsqueeze(1)
    offsets = torch.randn(
        *sources.ids.shape, policy.state_size, generator=draws, dtype=policy.model.dtype
    )
    moved = Tokens(ids=sources.ids, mask=sources.mask, offsets=offsets.requires_grad_())
    ids = tokens.masked_fill(~mask, policy.pad_id)
    return moved, Targets(ids=ids, mask=mask, sources=torch.tensor(SOURCES))


def in_float64(policy: DecoderOnly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make transformers compute all in float64; its norms fall back to float32 of themselves."""
    policy.model.double()

    def normalise(self: torch.nn.Module, values: Tensor) -> Tensor:
        return functional.rms_norm(values, self.weight.shape, self.weight, self.variance_epsilon)

    monkeypatch.setattr(type(policy.model.model.norm), "forward", normalise)


def gradients(policy: Policy, logits: Tensor, offsets: Tensor) -> dict[str, Tensor]:
    """Take those of a loss that asks each logit for something else."""
    draws = torch.Generator().manual_seed(2)
    wanted = torch.randn(logits.shape, generator=draws, dtype=logits.dtype)
    loss = (logits.tanh() * wanted).sum()
    named = dict(policy.model.named_parameters()) | {"offsets": offsets}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.parametrize("width", [1, 2, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_states_and_all_gradients_are_those_of_transformers(
    make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch, kind: str, width: int
) -> None:
    policy = decoder_only(make_policy, KINDS[kind])
    in_float64(policy, monkeypatch)
    sources, targets = batch(policy, width)
    assert sources.offsets is not None
    logits, states = policy._force(sources, targets, states=True)
    assert states is not None
    decoder = reader(policy)
    found = forced_states(decoder, sources, targets)
    torch.testing.assert_close(found, states[targets.mask], rtol=0, atol=1e-9)
    expected = gradients(policy, logits[targets.mask], sources.offsets)
    for name, gradient in gradients(policy, decoder.head(found), sources.offsets).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-9, msg=name)


@torch.no_grad()
def test_in_float32_states_are_those_of_transformers_as_it_is(
    make_policy: Callable[..., Policy],
) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    sources, targets = batch(policy)
    _, states = policy._force(sources, targets, states=True)
    assert states is not None
    found = forced_states(reader(policy), sources, targets)
    torch.testing.assert_close(found, states[targets.mask], rtol=0, atol=1e-5)


def test_in_bfloat16_products_states_and_gradients_are_near(
    make_policy: Callable[..., Policy],
) -> None:
    policy = decoder_only(make_policy, KINDS["head norms"])
    sources, targets = batch(policy)
    assert sources.offsets is not None
    decoder = reader(policy)
    exact = forced_states(decoder, sources, targets)
    policy.precision = "bfloat16"
    with policy.arithmetic():
        found = forced_states(decoder, sources, targets)
        _, states = policy._force(sources, targets, states=True)
    assert states is not None
    chosen = states[targets.mask]
    rounding = (chosen - exact).abs().max()
    assert 0 < (found - exact).abs().max() < 3 * rounding
    one, two = (torch.autograd.grad(each.sum(), sources.offsets)[0] for each in (found, chosen))
    assert functional.cosine_similarity(one.flatten(), two.flatten(), dim=0) > 0.99


@torch.no_grad()
def test_each_prompt_is_read_once(make_policy: Callable[..., Policy]) -> None:
    policy = decoder_only(make_policy, KINDS["llama"])
    sources, targets = batch(policy)
    counts = []
    for layer in policy.model.model.layers:
        layer.mlp.act_fn.register_forward_hook(lambda _, __, found: counts.append(len(found)))
    forced_states(reader(policy), sources, targets)
    assert set(counts) == {int(sources.mask.sum() + targets.mask[:, 1:].sum())}


@torch.no_grad()
def test_attention_is_dropped_in_training_as_transformers_drops_it(
    make_policy: Callable[..., Policy],
) -> None:
    kind, changes = KINDS["llama"]
    policy = decoder_only(make_policy, (kind, {**changes, "attention_dropout": 0.5}))
    sources, targets = batch(policy)
    still = forced_states(reader(policy), sources, targets)
    torch.testing.assert_close(still, forced_states(reader(policy), sources, targets))
    policy.model.train()
    torch.manual_seed(1)
    ours, theirs = [], []
    for _ in range(200):
        ours.append(forced_states(reader(policy), sources, targets))
        _, states = policy._force(sources, targets, states=True)
        assert states is not None
        theirs.append(states[targets.mask])
    one, two = torch.stack(ours), torch.stack(theirs)
    shift = (two.mean(dim=0) - still).abs().mean()
    assert (one.mean(dim=0) - two.mean(dim=0)).abs().mean() < 0.25 * shift
    torch.testing.assert_close(one.std(dim=0).mean(), two.std(dim=0).mean(), rtol=0.03, atol=0)
