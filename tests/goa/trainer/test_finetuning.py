"""Settings of fine-tuning, and the aims they stand for."""

import pytest

from goa.trainer.aims import finetuning_aims
from goa.trainer.finetuning import FinetuneSettings, RampSettings

OBJECTIVE = {"kind": "reinforce"}


def test_a_ramp_moves_in_a_straight_line_and_then_stays() -> None:
    ramp = RampSettings(start=1.0, end=0.2, rounds=4)
    assert [ramp.at(update) for update in (0, 1, 2, 4, 9)] == pytest.approx([1, 0.8, 0.6, 0.2, 0.2])


def test_aims_weigh_what_the_settings_say() -> None:
    ramp = {"start": 0.0, "end": 1.0, "rounds": 10}
    settings = FinetuneSettings.model_validate(
        {"objective": OBJECTIVE, "entropy_weight": 0.25, "likelihood_weight": ramp}
    )
    coefficients = [
        (type(aim.objective).__name__, aim.coefficient(5), aim.of_references)
        for aim in finetuning_aims(settings)
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


def test_references_are_not_fetched_for_nothing() -> None:
    settings = FinetuneSettings.model_validate({"objective": OBJECTIVE})
    assert not settings.learns_from_references
    assert finetuning_aims(settings)[2].coefficient(0) == 0.0
