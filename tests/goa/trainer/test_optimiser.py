"""Learning rates."""

import pytest
import torch

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
