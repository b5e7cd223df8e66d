"""What a run says otherwise than params.yaml."""

from collections.abc import Callable

import pytest
import yaml

from goa.errors import SettingsError
from pipelines.overrides import edit_params


@pytest.fixture
def edit(tmp_path) -> Callable[..., dict]:
    path = tmp_path / "params.yaml"
    path.write_text(
        "seed: 1\nfinetune: {rounds: 40, objective: {kind: x}}\n"
        "evaluators: {a: 1, b: 2}\ncontrols: {}"
    )

    def do(*overrides: str, evaluators: tuple[str, ...] = ()) -> dict:
        edit_params(path, overrides, evaluators)
        return yaml.safe_load(path.read_text())

    return do


def test_overrides_are_yaml_by_key_path(edit) -> None:
    params = edit(
        "seed=5", "finetune.rounds=2", "finetune.objective={kind: y}", "finetune.rounds=3"
    )
    assert params["seed"] == 5
    assert params["finetune"] == {"rounds": 3, "objective": {"kind": "y"}}


def test_only_named_evaluators_stay_in_the_order_of_the_file(edit) -> None:
    assert edit(evaluators=("b",))["evaluators"] == {"b": 2}
    with pytest.raises(SettingsError, match=r"no evaluator 'c'; known: b"):
        edit(evaluators=("c",))


def test_evaluators_that_do_not_stay_have_no_controls(edit) -> None:
    edit("controls={evaluators: [a, b], arms: [constant]}")
    assert edit(evaluators=("b",))["controls"] == {"evaluators": ["b"], "arms": ["constant"]}


def test_evaluators_that_are_no_mapping_are_refused(edit) -> None:
    edit("evaluators=[a]")
    with pytest.raises(SettingsError, match="evaluators: expected a mapping of settings"):
        edit(evaluators=("a",))


@pytest.mark.parametrize("override", ["seed", "sed=1", "finetune.round=1", "seed.x=1", "a.b.c=1"])
def test_an_override_that_names_nothing_is_refused(edit, override) -> None:
    with pytest.raises(SettingsError, match=override):
        edit(override)
