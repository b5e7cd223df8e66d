"""Advantages: what followed a token, less what was expected."""

from dataclasses import replace

import pytest
import torch

from goa.objectives.advantages import advantages_of, returns_of
from goa.objectives.contract import Batch
from goa.objectives.grpo import Grpo, GrpoSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings

MASK = torch.arange(3) < torch.tensor([[3, 2]]).unsqueeze(-1)
LOG_PROBS = torch.tensor([[[-1.0, -2.0, -0.5], [-0.25, -4.0, 0.0]]])
BATCH = Batch(
    mask=MASK,
    log_probs=LOG_PROBS,
    mean_log_probs=LOG_PROBS,
    written_log_probs=LOG_PROBS,
    rewards=torch.tensor([[0.9, 0.3]]),
    values=torch.tensor([[[0.5, 0.25, 0.75], [0.125, 0.5, 0.0]]]),
)
CREDITS = torch.tensor([[[0.2, 0.3, 0.4], [0.1, 0.2, 0.0]]])
WEIGHTS = torch.tensor([[[2.0, 0.5, 0.5], [0.5, 1.5, 0.0]]])


def test_without_credits_every_token_is_followed_by_the_whole_reward() -> None:
    assert returns_of(BATCH).tolist() == [[[pytest.approx(0.9)], [pytest.approx(0.3)]]]


def test_with_credits_a_token_is_followed_by_its_own_and_the_later_ones() -> None:
    found = returns_of(replace(BATCH, credits=CREDITS))
    assert torch.allclose(found, torch.tensor([[[0.9, 0.7, 0.4], [0.3, 0.2, 0.0]]]))


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("none", [[0.9, 0.7, 0.4], [0.3, 0.2, 0.0]]),
        ("mean", [[0.3, 0.25, 0.2], [-0.3, -0.25, -0.2]]),
        ("leave_one_out", [[0.6, 0.5, 0.4], [-0.6, -0.5, -0.4]]),
        ("critic", [[0.4, 0.45, -0.35], [0.175, -0.3, 0.0]]),
    ],
)
def test_hand_worked_advantages_of_credits(baseline: str, expected: list[list[float]]) -> None:
    found = advantages_of(replace(BATCH, credits=CREDITS), baseline)  # type: ignore[arg-type]
    assert torch.allclose(found[0], torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        Reinforce(ReinforceSettings(kind="reinforce")),
        Grpo(GrpoSettings(kind="grpo", divide_by_spread=False, length_average="none")),
    ],
)
def test_a_tokens_weight_is_its_share_of_the_advantage(objective: Reinforce | Grpo) -> None:
    leaf = LOG_PROBS.clone().requires_grad_()
    batch = replace(BATCH, log_probs=leaf, credit_weights=WEIGHTS)
    (found,) = torch.autograd.grad(objective(batch).sum, leaf)
    size = 0.6 if isinstance(objective, Reinforce) else 0.3  # less the other's reward, or the mean
    expected = -WEIGHTS * torch.tensor([[[size], [-size]]])
    assert torch.allclose(found, expected, atol=1e-6)
