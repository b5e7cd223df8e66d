"""Names of arms and policies."""

import pytest

from goa.arms import CONTROLLED, CONTROLS, Arm, TrainedPolicy, parse_policy
from goa.errors import SettingsError


@pytest.mark.parametrize("control", [None, *CONTROLS])
def test_a_policy_is_read_back_from_its_name(control: str | None) -> None:
    policy = TrainedPolicy(arm=Arm(evaluator="rouge_L", control=control), seed=18)  # type: ignore[arg-type]
    assert parse_policy(policy.name) == policy


def test_names_say_evaluator_control_and_seed() -> None:
    assert TrainedPolicy(arm=Arm(evaluator="bleu"), seed=17).name == "bleu-17"
    control = TrainedPolicy(arm=Arm(evaluator="bleu", control="constant"), seed=17)
    assert (control.arm.name, control.name) == ("bleu-constant", "bleu-constant-17")


@pytest.mark.parametrize(
    "name", ["mle", "bleu", "bleu-", "bleu-x", "-17", "bleu-other-17", "a-constant-1-2", "bleu--1"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="names no fine-tuned policy"):
        parse_policy(name)


def test_of_every_control_is_told_what_was_done_to_it() -> None:
    assert list(CONTROLLED) == list(CONTROLS)
    assert len(set(CONTROLLED.values())) == len(CONTROLS)
