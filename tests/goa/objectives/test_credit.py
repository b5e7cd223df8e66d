"""The credit head finds what the evaluator pays for."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch
from goa.objectives.credit import CreditHead
from goa.objectives.head import HeadSettings

MASK = torch.arange(6) < torch.tensor([[6, 4, 5], [3, 6, 2]]).unsqueeze(-1)


def planted(seed: int) -> tuple[Batch, Tensor]:
    """Candidates whose reward stands in the state of one token, marked; and where it stands."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(2, 3, 6, 8, generator=generator) * 0.3
    rewards = torch.rand(2, 3, generator=generator)
    place = (torch.rand(2, 3, generator=generator) * MASK.sum(dim=-1)).long()
    marked = torch.zeros(2, 3, 6).scatter(-1, place.unsqueeze(-1), 1.0)
    states[..., 0] = 3.0 * marked
    states[..., 1] = marked * rewards.unsqueeze(-1) * 3.0
    zeros = torch.zeros(MASK.shape)
    batch = Batch(mask=MASK, log_probs=zeros, mean_log_probs=zeros, rewards=rewards, states=states)
    return batch, place


def weights(head: CreditHead, batch: Batch) -> Tensor:
    found = head.fill(batch).credit_weights
    assert found is not None
    return found


def test_credit_is_even_before_anything_is_learnt() -> None:
    batch, _ = planted(1)
    assert torch.allclose(
        weights(CreditHead(HeadSettings(), 8, seed=1), batch), MASK.float(), atol=1e-6
    )


def test_it_learns_to_attend_to_what_earns_the_reward() -> None:
    head = CreditHead(HeadSettings(), 8, seed=1)
    optimiser = torch.optim.Adam(head.network.parameters(), lr=0.02)
    for step in range(300):
        batch, _ = planted(step)
        optimiser.zero_grad()
        head(batch).sum.backward()
        optimiser.step()
    batch, place = planted(1000)
    found = weights(head, batch)
    assert torch.equal(found.argmax(dim=-1), place)
    lengths = MASK.sum(dim=-1).float()
    assert torch.allclose(found.sum(dim=-1), lengths, rtol=1e-5)
    diagnostics = head(batch).diagnostics
    assert diagnostics["credit_error"][0] / 6 < 0.02
    assert diagnostics["credit_evenness"][0] / 6 < 0.6


def test_before_anything_is_learnt_attention_is_even_and_errors_are_those_of_a_guess() -> None:
    batch, _ = planted(4)
    head = CreditHead(HeadSettings(), 8, seed=1)
    predict = head.network[1]
    torch.nn.init.zeros_(predict.weight)
    torch.nn.init.constant_(predict.bias, 0.25)
    loss = head(batch)
    assert batch.rewards is not None
    expected = float((batch.rewards - 0.25).square().sum())
    assert float(loss.sum.detach()) == pytest.approx(expected, rel=1e-6)
    assert loss.diagnostics == {
        "credit_error": (pytest.approx(expected, rel=1e-6), 6.0),
        "credit_evenness": (pytest.approx(6.0, rel=1e-6), 6.0),
    }
    assert head.weigh(batch.mask, batch.rewards) == 6.0


def test_credit_is_the_attention_of_its_formula() -> None:
    batch, _ = planted(5)
    head = CreditHead(HeadSettings(), 8, seed=1)
    hidden, _, key = head.network[0]
    torch.nn.init.normal_(key.weight, generator=torch.Generator().manual_seed(2))
    assert batch.states is not None
    with torch.no_grad():
        scores = (hidden(batch.states).tanh() * key.weight[0]).sum(dim=-1).exp() * MASK
    expected = scores / scores.sum(dim=-1, keepdim=True) * MASK.sum(dim=-1, keepdim=True)
    assert torch.allclose(weights(head, batch), expected, atol=1e-5)


def test_padding_gets_no_credit_and_changes_none() -> None:
    batch, _ = planted(3)
    head = CreditHead(HeadSettings(), 8, seed=1)
    torch.nn.init.normal_(head.network[0][2].weight, generator=torch.Generator().manual_seed(2))
    found = weights(head, batch)
    assert not found[~MASK].any()
    assert batch.states is not None
    noisy = replace(batch, states=batch.states.masked_fill(~MASK.unsqueeze(-1), 7.0))
    assert torch.equal(weights(head, noisy), found)


def test_without_states_it_says_what_it_needs() -> None:
    batch, _ = planted(1)
    with pytest.raises(ValueError, match="CreditHead needs the policy's states"):
        CreditHead(HeadSettings(), 8, seed=1).fill(replace(batch, states=None))
