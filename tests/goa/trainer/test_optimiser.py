"""Learning rates, and who is stepped by which."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch, Loss
from goa.objectives.head import Head, HeadSettings
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings


def test_learning_rates_warm_up_and_fall() -> None:
    def rates(**settings: object) -> list[float]:
        made = OptimiserSettings(learning_rate=1.0, warmup_updates=2, **settings)  # type: ignore[arg-type]
        optimiser = Optimiser({"w": torch.zeros(1, requires_grad=True)}, made, total_updates=6)
        return [optimiser.learning_rate(update) for update in range(6)]

    assert rates() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert rates(schedule="linear") == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert rates(schedule="inverse_sqrt")[2:] == pytest.approx(
        [(2 / 3) ** 0.5, (2 / 4) ** 0.5, (2 / 5) ** 0.5, (2 / 6) ** 0.5]
    )


class Stub(Head):
    """A head with one weight."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__(
            HeadSettings(learning_rate=learning_rate), torch.nn.Linear(1, 1, bias=False)
        )

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        return 1.0

    def __call__(self, batch: Batch) -> Loss:
        raise NotImplementedError

    def fill(self, batch: Batch) -> Batch:
        return batch


def test_a_head_steps_at_its_own_pace_and_is_clipped_apart() -> None:
    weight, head = torch.zeros(1, requires_grad=True), Stub(learning_rate=0.5)
    own = head.network.weight
    optimiser = Optimiser({"w": weight}, OptimiserSettings(learning_rate=0.1), 5, [head])
    before = float(own.detach())
    weight.grad, own.grad = torch.tensor([0.6]), torch.tensor([[1e6]])
    # The head's gradient neither counts in the norm nor scales the other one down.
    assert optimiser.step(0) == pytest.approx(0.6)
    moments = {name: value for name, value in optimiser.tensors().items() if "exp_avg." not in name}
    assert float(moments["optimiser.w.exp_avg"]) == pytest.approx(0.1 * 0.6, rel=1e-5)
    assert float(moments["optimiser.Stub.weight.exp_avg"]) == pytest.approx(0.1, rel=1e-4)
    # Adam's first step is as long as the learning rate.
    assert float(weight.detach()) == pytest.approx(-0.1, rel=1e-3)
    assert float(own.detach()) - before == pytest.approx(-0.5, rel=1e-3)


def test_a_head_whose_gradient_is_no_number_stops_the_step() -> None:
    weight, head = torch.zeros(1, requires_grad=True), Stub(learning_rate=0.5)
    optimiser = Optimiser({"w": weight}, OptimiserSettings(), 5, [head])
    weight.grad, head.network.weight.grad = torch.tensor([0.6]), torch.tensor([[math.inf]])
    assert math.isnan(optimiser.step(0))
    assert float(weight.detach()) == 0.0


def test_slowing_down_halves_the_models_rate_and_leaves_the_heads() -> None:
    weight, head = torch.zeros(1, requires_grad=True), Stub(learning_rate=0.5)
    own = head.network.weight
    optimiser = Optimiser({"w": weight}, OptimiserSettings(learning_rate=0.1), 5, [head])
    optimiser.slow_down(2)
    before = float(own.detach())
    weight.grad, own.grad = torch.tensor([0.6]), torch.tensor([[1.0]])
    optimiser.step(0)
    assert float(weight.detach()) == pytest.approx(-0.025, rel=1e-3)
    assert float(own.detach()) - before == pytest.approx(-0.5, rel=1e-3)


def steps(optimiser: Optimiser, gradients: Sequence[float], start: int = 0) -> list[float]:
    """Step by each gradient, and give where the first weight is then."""
    (weight, *_) = optimiser.parameters
    found = []
    for update, gradient in enumerate(gradients, start):
        assert weight.grad is None  # the last one is gone
        weight.grad = torch.full_like(weight, gradient)
        optimiser.step(update)
        found.append(float(weight.detach()))
    return found


def make(value: float = 0.0, **settings: Any) -> Optimiser:
    weights = {"w": torch.full([1], value, requires_grad=True)}
    return Optimiser(weights, OptimiserSettings(**{"learning_rate": 0.1} | settings), 9)


def test_steps_are_those_of_adam_with_decay_apart() -> None:
    gradients, (first, second), decay = [0.3, 0.1, -0.2], (0.5, 0.8), 0.25
    weight = mean = square = 0.0
    expected = []
    for update, gradient in enumerate(gradients, 1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        weight *= 1 - 0.1 * decay
        size = math.sqrt(square / (1 - second**update)) + 1e-8
        weight -= 0.1 * mean / (1 - first**update) / size
        expected.append(weight)
    optimiser = make(betas=[first, second], weight_decay=decay)
    assert steps(optimiser, gradients) == pytest.approx(expected, rel=1e-5)


def test_a_restored_optimiser_goes_on_as_the_one_that_was_kept() -> None:
    kept = make()
    (value,) = steps(kept, [0.3])
    resumed = make(value)
    resumed.restore({name: tensor.clone() for name, tensor in kept.tensors().items()})
    assert steps(resumed, [0.1, -0.2], 1) == steps(kept, [0.1, -0.2], 1)


def test_one_that_forgets_steps_as_if_it_were_the_first_time() -> None:
    optimiser = make()
    (value,) = steps(optimiser, [0.3])
    optimiser.forget()
    assert optimiser.tensors() == {}
    assert steps(optimiser, [0.001]) == pytest.approx([value - 0.1], rel=1e-4)
