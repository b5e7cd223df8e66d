"""Settings of fine-tuning, and the aims they stand for."""

from typing import Any

import pytest

from goa.decoding.settings import GenerateSettings
from goa.errors import SettingsError
from goa.objectives.critic import Critic
from goa.policies.policy import Policy
from goa.trainer.aims import finetuning_aims
from goa.trainer.finetuning import FinetuneSettings

OBJECTIVE = {"kind": "reinforce"}
BEAMS = {"kind": "beam", "num_candidates": 4}


def test_aims_weigh_what_the_settings_say(policy: Policy) -> None:
    ramp = {"start": 0.0, "end": 1.0, "rounds": 10}
    settings = FinetuneSettings.model_validate(
        {"objective": OBJECTIVE, "entropy_weight": 0.25, "likelihood_weight": ramp}
    )
    coefficients = [
        (type(aim.objective).__name__, aim.coefficient(5), aim.of_references)
        for aim in finetuning_aims(settings, policy, seed=1)
    ]
    assert coefficients == [
        ("Reinforce", 1.0, False),
        ("Entropy", 0.25, False),
        ("Likelihood", 0.5, True),
    ]
    assert settings.learns_from_references


def test_a_target_without_a_weight_to_steer_is_refused() -> None:
    settings = {"objective": OBJECTIVE, "divergence": {"target": 2.0}}
    with pytest.raises(ValueError, match="cannot leave 0"):
        FinetuneSettings.model_validate(settings)


def test_references_are_not_fetched_for_nothing(policy: Policy) -> None:
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE})
    assert not settings.learns_from_references
    assert finetuning_aims(settings, policy, seed=1)[2].coefficient(0) == 0.0


@pytest.mark.parametrize(
    ("changes", "heads"),
    [
        ({"objective": {"kind": "ppo"}}, ["Critic"]),
        ({"objective": {"kind": "reinforce", "baseline": "critic"}}, ["Critic"]),
        ({"credit": {"kind": "attention"}}, ["CreditHead"]),
        ({"objective": {"kind": "ppo"}, "credit": {"kind": "attention"}}, ["Critic", "CreditHead"]),
        ({}, []),
    ],
)
def test_heads_are_there_where_something_looks_at_them(
    policy: Policy, changes: dict[str, Any], heads: list[str]
) -> None:
    paces = {"critic": {"learning_rate": 0.5}}
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE, **paces, **changes})
    found = [aim.objective for aim in finetuning_aims(settings, policy, seed=1)[3:]]
    assert [type(head).__name__ for head in found] == heads
    assert [head.learning_rate for head in found if isinstance(head, Critic)] in ([], [0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": BEAMS}, "reinforce learns from the policy's own draws"),
        ({"with_reference": True, "objective": {"kind": "raml"}}, "raml learns from the policy's"),
        ({"objective": {"kind": "mrt"}, "credit": {"kind": "attention"}}, "only be uniform"),
        (
            {
                "objective": {"kind": "reinforce", "baseline": "greedy"},
                "credit": {"kind": "reward_to_go"},
            },
            "the greedy baseline is one number",
        ),
        ({"candidates": {"kind": "sample", "num_candidates": 1}}, "num_candidates of 2 or more"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinetuneSettings.model_validate({"objective": OBJECTIVE, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"kind": "mrt"}, "candidates": {"kind": "beam"}, "with_reference": True},
        {"objective": {"kind": "ppo"}, "candidates": {"kind": "sample", "num_candidates": 1}},
        {
            "objective": {"kind": "margin"},
            "candidates": {"kind": "sample", "num_candidates": 1},
            "with_reference": True,
        },
    ],
)
def test_what_fits_together_is_taken(changes: dict[str, Any]) -> None:
    FinetuneSettings.model_validate(changes)


def test_the_pool_must_have_what_the_first_round_learns_from() -> None:
    beams = FinetuneSettings.model_validate({"objective": {"kind": "mrt"}, "candidates": BEAMS})
    pool = GenerateSettings.model_validate({"strategies": {"drawn": {"kind": "sample"}}})
    with pytest.raises(SettingsError, match=r"no strategy of kind beam.*add one"):
        beams.check_pool(pool)
    greedy = FinetuneSettings.model_validate(
        {"objective": {"kind": "reinforce", "baseline": "greedy"}}
    )
    with pytest.raises(SettingsError, match="no strategy of kind greedy"):
        greedy.check_pool(pool)


def test_candidates_begin_like_references_for_mixer_alone() -> None:
    mixer = FinetuneSettings.model_validate({"objective": {"kind": "mixer"}})
    assert mixer.prefix_share is not None
    assert [mixer.prefix_share(index) for index in (0, 100)] == [0.75, 0.0]
    assert FinetuneSettings.model_validate({"objective": OBJECTIVE}).prefix_share is None
