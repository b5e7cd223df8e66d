"""Laws that hold for every objective of fine-tuning."""

import dataclasses
import typing
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from goa.objectives.contract import Batch, Objective
from goa.objectives.table import OBJECTIVES, ObjectiveSettings, build_objective

KINDS = [typing.get_args(model.model_fields["kind"].annotation)[0] for model in OBJECTIVES]
MASK = torch.arange(4) < torch.tensor([[4, 1, 3], [2, 4, 2]]).unsqueeze(-1)


@pytest.fixture(params=KINDS)
def objective(request: pytest.FixtureRequest) -> Objective:
    settings: Any = TypeAdapter(ObjectiveSettings).validate_python({"kind": request.param})
    return build_objective(settings)


@pytest.fixture
def batch() -> Batch:
    """Two sources with three candidates of one to four tokens, no two rewards alike."""
    generator = torch.Generator().manual_seed(4)
    values = -torch.rand(5, 2, 3, 4, generator=generator, dtype=torch.float64)
    now, spread, written, pretrained, expected = values.masked_fill(~MASK, 0.0)
    return Batch(
        mask=MASK,
        log_probs=now,
        mean_log_probs=spread,
        distinct_mask=torch.ones(2, 3, dtype=torch.bool),
        written_log_probs=written,
        pretrained_log_probs=pretrained,
        rewards=torch.tensor([[0.2, 0.9, 0.4], [0.8, 0.1, 0.3]], dtype=torch.float64),
        greedy_rewards=torch.tensor([0.5, 0.6], dtype=torch.float64),
        values=-expected,
        prefix_mask=MASK & (torch.arange(4) < 1),
    )


@pytest.fixture(params=["one reward for all tokens", "credits", "weights of credit"])
def credited(batch: Batch, request: pytest.FixtureRequest) -> Batch:
    """Tell what tokens have earned in every way there is."""
    shares = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    shares = shares.masked_fill(~MASK, 0.0)
    shares = shares / shares.sum(dim=-1, keepdim=True)
    assert batch.rewards is not None
    if request.param == "credits":
        return dataclasses.replace(batch, credits=shares * batch.rewards.unsqueeze(-1))
    if request.param == "weights of credit":
        return dataclasses.replace(batch, credit_weights=shares * MASK.sum(-1, keepdim=True))
    return batch


def changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Change every tensor that has candidates; none of the objectives here looks at others."""
    fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return Batch(
        **{
            name: change(value) if value is not None and value.dim() > 1 else value
            for name, value in fields.items()
        }
    )


def gradient(objective: Objective, batch: Batch) -> Tensor:
    """Of the divided loss with respect to the policy's log-probs before masking, [B, K, T]."""
    leaf = batch.log_probs.clone().requires_grad_()
    masked = leaf.masked_fill(~batch.mask, 0.0)
    loss = objective(dataclasses.replace(batch, log_probs=masked))
    (found,) = torch.autograd.grad(loss.sum / objective.weigh(batch.mask, batch.rewards), leaf)
    return found


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_there_is_something_to_learn(objective: Objective, batch: Batch) -> None:
    assert float(gradient(objective, batch).abs().max()) > 1e-4


def test_more_padding_changes_nothing(objective: Objective, credited: Batch) -> None:
    batch = credited

    def widen(values: Tensor) -> Tensor:
        if values.dim() < 3:
            return values
        return torch.cat([values, torch.zeros_like(values[:, :, :2])], dim=-1)

    wider = gradient(objective, changed(batch, widen))
    assert close(wider[:, :, :4], gradient(objective, batch))


def test_the_order_of_candidates_changes_nothing(objective: Objective, credited: Batch) -> None:
    batch = credited
    order = torch.tensor([2, 0, 1])
    reordered = gradient(objective, changed(batch, lambda values: values[:, order]))
    assert close(reordered, gradient(objective, batch)[:, order])


def test_cutting_along_sources_changes_nothing(objective: Objective, credited: Batch) -> None:
    batch = credited
    cut = [changed(batch, lambda values, row=row: values[row : row + 1]) for row in range(2)]
    whole, parts = objective(batch), [objective(part) for part in cut]
    assert float(whole.sum) == pytest.approx(sum(float(part.sum) for part in parts), abs=1e-12)
    weights = [objective.weigh(part.mask, part.rewards) for part in (batch, *cut)]
    assert weights[0] == weights[1] + weights[2] > 0
    for name, (amount, weight) in whole.diagnostics.items():
        assert amount == pytest.approx(sum(part.diagnostics[name][0] for part in parts), abs=1e-9)
        assert weight == sum(part.diagnostics[name][1] for part in parts)


def test_rewards_that_are_all_shifted_alike_change_nothing(
    objective: Objective, batch: Batch
) -> None:
    assert batch.rewards is not None
    assert batch.values is not None
    expected = (batch.values + 0.05).masked_fill(~MASK, 0.0)  # a critic would have learnt of it
    shifted = dataclasses.replace(batch, rewards=batch.rewards + 0.05, values=expected)
    assert close(gradient(objective, shifted), gradient(objective, batch))


def test_references_without_rewards_are_refused(objective: Objective, batch: Batch) -> None:
    with pytest.raises(ValueError, match="needs rewards"):
        objective(dataclasses.replace(batch, rewards=None))
