"""Sums and weights, and what is said of them."""

import math
from collections.abc import Sequence

import pytest
import torch

from goa.objectives.contract import Batch
from goa.policies.policy import Policy
from goa.trainer.diagnostics import (
    Counts,
    Means,
    add,
    count_over,
    measured,
    over_the_team,
    said_of,
)
from goa.trainer.team import Team
from tests.goa.trainer.conftest import references


class Twice(Team):
    """One of two processes that have the same numbers."""

    def totals(self, values: Sequence[float]) -> list[float]:
        return [2 * value for value in values]


def test_diagnostics_are_averaged_by_their_weights_until_they_are_taken() -> None:
    means = Means({})
    means.add({"kl": (1.0, 4.0), "loss": (3.0, 1.0), "nothing": (0.0, 0.0)})
    means.add({"kl": (5.0, 8.0)})
    assert means.take() == {"kl": 0.5, "loss": 3.0}
    assert means.take() == {}


def test_it_is_said_how_the_reward_stands_or_else_the_loss() -> None:
    means = Means({"loss": (5.0, 2.0)})
    assert means.note() == "loss 2.500"
    means.add({"reward": (1.0, 8.0)})
    assert means.note() == "reward 0.125"


def test_amounts_and_weights_are_summed_over_the_team() -> None:
    totals = {"b": (1.0, 2.0), "a": (3.0, 4.0)}
    assert over_the_team(totals, Twice()) == {"a": (6.0, 8.0), "b": (2.0, 4.0)}
    assert count_over(Twice(), Counts(texts=3, tokens=5)) == Counts(texts=6, tokens=10)
    add(totals, {"a": (1.0, 1.0), "c": (1.0, 0.0)})
    assert totals == {"b": (1.0, 2.0), "a": (4.0, 5.0), "c": (1.0, 0.0)}


def test_what_is_said_of_a_round_weighs_as_many_sources_as_it_has(policy: Policy) -> None:
    rollout = references(policy)
    rollout.diagnostics["silent"] = 0.25  # type: ignore[index] # a dict
    assert said_of(rollout, Twice()) == {"silent": pytest.approx((2.5, 10.0))}


def test_the_divergence_is_of_candidates_and_the_entropy_of_tokens() -> None:
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    log_probs = torch.tensor([[[0.5, 0.25, 1.0], [0.8, 1.0, 1.0]]]).log()
    pretrained = torch.tensor([[[0.25, 0.5, 1.0], [0.4, 1.0, 1.0]]]).log()
    batch = Batch(
        mask=mask,
        log_probs=log_probs,
        mean_log_probs=log_probs,
        pretrained_log_probs=pretrained,
        entropy=torch.tensor([[[1.0, 0.5, 0.0], [0.25, 0.0, 0.0]]]),
    )
    # Ratios 1/2, 2 and 1/2, each r - 1 - ln r.
    kl = 2 * (0.5 - 1 + math.log(2)) + (2 - 1 - math.log(2))
    assert measured(batch) == {"kl": (pytest.approx(kl), 2.0), "entropy": (1.75, 3.0)}
