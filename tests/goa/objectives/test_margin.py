"""Margin losses against a table worked by hand."""

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.margin import Margin, MarginSettings

# One token each, so that sums and means are the same. The best is the second.
REWARDS = [0.25, 0.75, 0.5, 0.5]
SCORES = [-1.0, -2.0, -3.0, -1.5]
# r* - r - s* + s: 0.5 + 1 = 1.5; 0; 0.25 - 1 < 0; 0.25 + 0.5 = 0.75.


def _batch(rewards: list[float], scores: list[float], distinct: list[bool] | None = None) -> Batch:
    log_probs = torch.tensor(scores, dtype=torch.float64).view(1, -1, 1)
    return Batch(
        mask=torch.ones(1, len(scores), 1, dtype=torch.bool),
        log_probs=log_probs,
        mean_log_probs=log_probs,
        distinct_mask=torch.tensor([distinct or [True] * len(scores)]),
        rewards=torch.tensor([rewards], dtype=torch.float64),
    )


@pytest.mark.parametrize(("against", "expected"), [("all", 2.25), ("likeliest", 1.5)])
def test_candidates_that_are_too_likely_for_their_reward_cost_the_difference(
    against: str, expected: float
) -> None:
    objective = Margin(MarginSettings(kind="margin", against=against))  # type: ignore[arg-type]
    loss = objective(_batch(REWARDS, SCORES))
    assert float(loss.sum) == pytest.approx(expected)
    assert loss.diagnostics["violated_share"] == (1.0, 1.0)


def test_a_best_candidate_that_is_far_likelier_costs_nothing() -> None:
    loss = Margin(MarginSettings(kind="margin"))(_batch([0.9, 0.1], [-1.0, -5.0]))
    assert float(loss.sum) == 0.0
    assert loss.diagnostics["violated_share"] == (0.0, 1.0)


def test_a_candidate_drawn_twice_costs_once() -> None:
    batch = _batch([*REWARDS, REWARDS[0]], [*SCORES, SCORES[0]], [True, True, True, True, False])
    assert float(Margin(MarginSettings(kind="margin"))(batch).sum) == pytest.approx(2.25)


@pytest.mark.parametrize(("length_average", "expected"), [(True, 0.0), (False, 1.25)])
def test_scores_are_means_or_sums_over_tokens(length_average: bool, expected: float) -> None:
    mask = torch.tensor([[[True, True, True], [True, False, False]]])
    log_probs = torch.tensor([[[-1.0, -1.0, -1.0], [-2.0, 0.0, 0.0]]])
    batch = Batch(
        mask=mask,
        log_probs=log_probs,
        mean_log_probs=log_probs,
        distinct_mask=torch.tensor([[True, True]]),
        rewards=torch.tensor([[0.75, 0.5]]),
    )
    # Means: 0.25 + 1 - 2 < 0. Sums: 0.25 + 3 - 2 = 1.25.
    loss = Margin(MarginSettings(kind="margin", length_average=length_average))(batch)
    assert float(loss.sum) == pytest.approx(expected)


@pytest.mark.parametrize(("against", "expected"), [("all", 1.25), ("likeliest", 0.75)])
def test_of_several_sources_each_has_a_best_and_a_likeliest_candidate(
    against: str, expected: float
) -> None:
    log_probs = torch.tensor([[-1.0, -1.5, -2.0], [-2.0, -2.25, -2.5], [-1.0, -5.0, -5.0]])
    batch = Batch(
        mask=torch.ones(3, 3, 1, dtype=torch.bool),
        log_probs=log_probs.unsqueeze(-1),
        mean_log_probs=log_probs.unsqueeze(-1),
        distinct_mask=torch.ones(3, 3, dtype=torch.bool),
        rewards=torch.tensor([[0.5, 0.5, 0.5], [0.25, 0.25, 0.5], [0.75, 0.25, 0.25]]),
    )
    # r* - r - s* + s: 0, -0.5, -1; 0.25 + 0.5, 0.25 + 0.25, 0; 0, 0.5 - 4, 0.5 - 4.
    objective = Margin(MarginSettings(kind="margin", against=against))  # type: ignore[arg-type]
    loss = objective(batch)
    assert float(loss.sum) == expected
    assert loss.diagnostics == {"violated_share": (1.0, 3.0)}
    assert objective.weigh(batch.mask, batch.rewards) == 3.0
