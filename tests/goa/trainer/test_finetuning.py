"""Settings of fine-tuning, and the aims they stand for."""

from typing import Any

import pytest

from goa.decoding.settings import GenerateSettings
from goa.errors import SettingsError
from goa.objectives.critic import Critic
from goa.objectives.reinforce import ReinforceSettings
from goa.policies.policy import Policy
from goa.trainer.aims import finetuning_aims
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.settings import PretrainSettings

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
        {
            "objective": {"kind": "mrt"},
            "candidates": {"kind": "sample", "num_candidates": 2},
            "with_reference": True,
        },
        *(
            {
                "objective": {"kind": "reinforce", "baseline": baseline},
                "candidates": {"kind": "sample", "num_candidates": 1},
            }
            for baseline in ("none", "greedy", "critic")
        ),
        *(
            {"objective": {"kind": kind}, "credit": {"kind": "attention"}}
            for kind in ("reinforce", "grpo", "ppo", "mixer")
        ),
        {"objective": {"kind": "evolution"}, "divergence": {"weight": 0.0, "where": "loss"}},
        {"objective": {"kind": "evolution"}, "divergence": {"weight": 0.5, "where": "reward"}},
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
    FinetuneSettings.model_validate({"objective": OBJECTIVE}).check_pool(pool)
    both = {"drawn": {"kind": "sample"}, "likeliest": {"kind": "greedy"}}
    greedy.check_pool(GenerateSettings.model_validate({"strategies": both}))


@pytest.mark.parametrize(
    ("kind", "expected"), [("reinforce", True), ("mixer", False), ("evolution", False)]
)
def test_the_first_round_is_of_the_pool_but_where_others_are_needed(
    kind: str, *, expected: bool
) -> None:
    settings = FinetuneSettings.model_validate({"objective": {"kind": kind}})
    assert settings.learns_from_pool is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"silent_sources": "keep"}, True),
        ({"silent_sources": "skip"}, False),
        ({"silent_sources": "resample"}, False),
        ({"silent_sources": "skip", "objective": {"kind": "mrt"}, "with_reference": True}, True),
    ],
)
def test_silent_sources_are_kept_where_that_is_told_or_a_reference_speaks(
    changes: dict[str, Any], *, expected: bool
) -> None:
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE, **changes})
    assert settings.keeps_silent_sources is expected


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"sources_per_round": 3}, 4, "too few for 4 processes"),
        ({"objective": {"kind": "evolution"}}, 2, "evolution needs all weights"),
        ({"perturbation": {}}, 2, "perturbation needs all weights"),
        ({"phases": [{}, {"objective": {"kind": "evolution"}}]}, 2, "evolution needs all weights"),
    ],
)
def test_what_a_team_cannot_do_is_refused(changes: dict[str, Any], size: int, message: str) -> None:
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE, **changes})
    with pytest.raises(SettingsError, match=message):
        settings.check_team(size, fsdp=True)
    settings.check_team(1, fsdp=True)
    settings.check_team(min(size, 3), fsdp=False)


def test_every_process_of_pretraining_has_a_source_in_the_smallest_update() -> None:
    settings = PretrainSettings(sources_per_update=7)
    with pytest.raises(SettingsError, match="make it 8 or more"):
        settings.check_team(4)
    settings.check_team(3)
    PretrainSettings(sources_per_update=1).check_team(1)


def test_candidates_begin_like_references_for_mixer_alone() -> None:
    mixer = FinetuneSettings.model_validate({"objective": {"kind": "mixer"}})
    assert mixer.prefix_share is not None
    assert [mixer.prefix_share(index) for index in (0, 100)] == [0.75, 0.0]
    assert FinetuneSettings.model_validate({"objective": OBJECTIVE}).prefix_share is None


def test_a_phase_changes_what_it_names_and_keeps_the_rest() -> None:
    settings = FinetuneSettings.model_validate(
        {
            "objective": OBJECTIVE,
            "rounds": 50,
            "sources_per_round": 7,
            "optimiser": {"learning_rate": 0.001, "warmup_updates": 3},
            "validation": {"every": 5, "patience": 2},
            "phases": [
                {},
                {
                    "objective": {"kind": "mrt"},
                    "evaluator": {"kind": "rule"},
                    "rounds": 9,
                    "learning_rate": 0.01,
                    "temperature": 0.5,
                    "patience": 4,
                    "likelihood_weight": {"start": 1.0, "end": 0.0, "rounds": 3},
                    "optimiser_state": "reset",
                },
            ],
        }
    )
    first, second = settings.resolved()
    assert first.settings == settings.model_copy(update={"phases": []})
    assert (first.evaluator, first.carries_optimiser) == (None, True)
    found = second.settings
    assert found.objective.kind == "mrt"
    assert second.evaluator is not None
    assert second.evaluator.kind == "rule"
    assert not second.carries_optimiser
    assert (found.rounds, found.sources_per_round) == (9, 7)
    assert (found.optimiser.learning_rate, found.optimiser.warmup_updates) == (0.01, 3)
    assert found.candidates.kind == "sample"
    assert found.candidates.temperature == 0.5
    assert (found.validation.patience, found.validation.every) == (4, 5)
    assert found.likelihood_weight_at(0) == 1.0


def test_without_phases_there_is_one() -> None:
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE})
    assert [phase.settings for phase in settings.resolved()] == [settings]


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"objective": {"kind": "mrt"}, "credit": {"kind": "attention"}}, "phases.1: mrt looks at"),
        ({"temperature": 0.5}, "phases.1.candidates.beam.temperature: Extra inputs"),
    ],
)
def test_a_phase_that_does_not_fit_together_is_named(phase: dict[str, Any], message: str) -> None:
    whole = {"objective": {"kind": "mrt"}, "candidates": BEAMS, "phases": [{}, phase]}
    with pytest.raises(ValueError, match=message):
        FinetuneSettings.model_validate(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"likelihood_weight": 0.1},
        {"entropy_weight": 0.1},
        {"steps_per_round": 2},
        {"with_reference": True},
        {"silent_sources": "resample"},
        {"divergence": {"weight": 0.1, "where": "loss"}},
    ],
)
def test_evolution_knows_rewards_alone(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="evolution (knows|has no loss)"):
        FinetuneSettings.model_validate({"objective": {"kind": "evolution"}, **changes})


def test_evolution_learns_from_greedy_outputs_and_others_do_not() -> None:
    greedy = {"candidates": {"kind": "greedy"}}
    settings = FinetuneSettings.model_validate({"objective": {"kind": "evolution"}, **greedy})
    assert not settings.learns_from_pool
    assert settings.pool_kind == "sample"
    with pytest.raises(ValueError, match="only evolution can learn"):
        FinetuneSettings.model_validate({"objective": {"kind": "mrt"}, **greedy})


@pytest.mark.parametrize("kind", ["beam", "diverse_beam", "stochastic_beam"])
def test_beams_of_any_kind_are_no_independent_draws(kind: str) -> None:
    beams = {"candidates": {"kind": kind, "num_candidates": 4}}
    settings = FinetuneSettings.model_validate({"objective": {"kind": "mrt"}, **beams})
    assert settings.pool_kind == kind
    with pytest.raises(ValueError, match="learns from the policy's own draws"):
        FinetuneSettings.model_validate({"objective": {"kind": "reinforce"}, **beams})


def test_a_constant_reward_is_learnt_without_baseline_whatever_the_arm_beside_it_does() -> None:
    settings = FinetuneSettings.model_validate(
        {
            "objective": {"kind": "grpo"},
            "credit": {"kind": "reward_to_go"},
            "silent_sources": "resample",
            "rounds": 9,
            "phases": [
                {},
                {
                    "objective": {"kind": "ppo"},
                    "credit": {"kind": "attention"},
                    "silent_sources": "keep",
                },
            ],
        }
    ).as_control("constant")
    for phase in (resolved.settings for resolved in settings.resolved()):
        assert phase.objective == ReinforceSettings(kind="reinforce", baseline="none")
        assert (phase.credit.kind, phase.silent_sources, phase.rounds) == ("uniform", "skip", 9)


def test_a_shuffled_reward_is_learnt_as_the_true_one_but_for_credit() -> None:
    settings = FinetuneSettings.model_validate(
        {
            "objective": {"kind": "grpo"},
            "credit": {"kind": "reward_to_go"},
            "phases": [{}, {"credit": {"kind": "attention"}}],
        }
    )
    control = settings.as_control("shuffled")
    for phase in control.resolved():
        assert phase.settings.credit.kind == "uniform"
        assert phase.settings.objective == settings.objective
    changed = {"credit": settings.credit, "phases": settings.phases}
    assert control.model_copy(update=changed) == settings


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"kind": "grpo"}, "credit": {"kind": "reward_to_go"}},
        {"objective": {"kind": "mrt"}, "with_reference": True},
    ],
)
def test_likelihood_is_one_phase_as_long_as_all_that_asks_for_no_reward(
    changes: dict[str, Any],
) -> None:
    settings = FinetuneSettings.model_validate(
        {"rounds": 3, "phases": [{}, {"rounds": 4}], "entropy_weight": 0.5, **changes}
    )
    control = settings.as_control("likelihood")
    assert control.objective == ReinforceSettings(kind="reinforce", baseline="none")
    assert (control.credit.kind, control.rounds, control.phases) == ("uniform", 7, [])
    assert (control.with_reference, control.collapse) == (False, None)
    assert control.entropy_weight == 0.5


@pytest.mark.parametrize(
    "changes", [{"candidates": BEAMS, "objective": {"kind": "mrt"}}, {"with_reference": True}]
)
def test_a_constant_reward_is_refused_where_candidates_are_no_draws(
    changes: dict[str, Any],
) -> None:
    settings = FinetuneSettings.model_validate({"objective": {"kind": "mrt"}, **changes})
    with pytest.raises(SettingsError, match="constant rewards are learnt by policy gradient"):
        settings.as_control("constant")
