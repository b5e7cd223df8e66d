"""Bad settings are named all at once, each with where it stands and what would be right."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.arms import Arm, TrainedPolicy
from goa.config import check
from goa.errors import SettingsError
from goa.settings import read_sections, validate
from goa.trainer.settings import EvolutionSettings
from pipelines.arms import evaluating_stage

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def params() -> dict[str, dict[str, object]]:
    """Give the project's own parameters, to be spoilt."""
    content: dict[str, dict[str, object]] = yaml.safe_load((PROJECT / "params.yaml").read_text())
    return content


def problems(content: object, tmp_path: Path) -> str:
    """Check the content as a file; return the message."""
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError) as caught:
        check(path)
    return str(caught.value)


@pytest.mark.parametrize("path", [Path("params.yaml"), *Path().glob("experiments/*.yaml")], ids=str)
def test_the_files_that_come_with_goa_are_right(path: Path) -> None:
    check(PROJECT / path)


def test_all_problems_are_named_at_once(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["finetune"]["round"] = 5
    params["policy"]["d_model"] = -8
    params["pretrain"]["epochs"] = "ten"
    del params["data"]
    message = problems(params, tmp_path)
    assert "4 problems" in message
    assert "finetune.round: unknown setting; did you mean rounds?" in message
    assert "policy.scratch.d_model: input should be greater than or equal to 8, found -8" in message
    assert "pretrain.epochs: input should be a valid integer, found 'ten'" in message
    assert "data: missing" in message


def test_an_unknown_kind_lists_the_kinds_and_the_nearest(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["evaluators"]["bleu"] = {"kind": "blue"}
    message = problems(params, tmp_path)
    assert "evaluators.bleu.kind: 'blue' is none of" in message
    assert "did you mean bleu?" in message


def test_settings_that_do_not_fit_together_are_refused(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["finetune"]["objective"] = {"kind": "reinforce", "baseline": "greedy"}
    params["generate"]["strategies"] = {"sample": {"kind": "sample"}}
    assert "generate.strategies has no strategy of kind greedy" in problems(params, tmp_path)


def test_fine_tuning_on_likelihood_is_refused(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["finetune"]["objective"] = {"kind": "likelihood"}
    message = problems(params, tmp_path)
    assert "finetune.objective.kind: 'likelihood' is none of reinforce" in message


@pytest.mark.parametrize("section", ["pretrain", "finetune"])
def test_more_processes_than_sources_are_refused(
    params: dict[str, dict[str, object]], tmp_path: Path, section: str
) -> None:
    params["compute"] = {"processes": {section: 500}}
    assert f"lower compute.processes.{section}" in problems(params, tmp_path)


def test_what_cannot_be_sharded_is_refused(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["compute"] = {"processes": {"finetune": 2}, "fsdp": True}
    params["finetune"]["perturbation"] = {}
    assert "set compute.fsdp to false" in problems(params, tmp_path)


def test_a_pool_without_samples_is_refused(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["generate"]["strategies"] = {"greedy": {"kind": "greedy"}}
    assert "no strategy of kind sample" in problems(params, tmp_path)


@pytest.mark.parametrize("name", ["mle", "Bleu 2", "../x"])
def test_an_evaluator_cannot_have_a_name_that_is_no_file_or_is_taken(
    params: dict[str, dict[str, object]], tmp_path: Path, name: str
) -> None:
    params["evaluators"][name] = {"kind": "bleu"}
    assert f"evaluators.{name}" in problems(params, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: [1", "not valid YAML"),
        (b"- a\n- b\n", "expected a mapping of sections"),
        (b"seed: \xff\xfe", "not UTF-8 at byte 6"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        check(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere.yaml: no such file"):
        check(tmp_path / "nowhere.yaml")


def test_a_stage_reads_its_sections_and_is_not_held_up_by_others(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 4\nelsewhere: {broken: true}\n")
    assert read_sections(path, seed=int).seed == 4
    with pytest.raises(SettingsError, match="seed: input should be a valid string, found 4"):
        read_sections(path, seed=str)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"kind": "bleu", "varient": 1}, "evaluators.rouge.bleu.varient: unknown setting; known"),
        ({"kind": "rouge", "varient": 1}, "evaluators.rouge.rouge.varient: unknown setting; did"),
        ({"smooth": 1}, "evaluators.rouge.kind: missing; known: bertscore, bleu, chrf"),
        ("bleu", "evaluators.rouge: expected a mapping of settings, found 'bleu'"),
        ({"kind": "x" * 9999}, f"evaluators.rouge.kind: '{'x' * 56}... is none of"),
    ],
)
def test_a_hint_is_about_the_kind_that_was_chosen(
    params: dict[str, dict[str, object]], tmp_path: Path, spoilt: object, said: str
) -> None:
    params["evaluators"]["rouge"] = spoilt
    assert said in problems(params, tmp_path)


def test_a_number_that_yaml_takes_for_text_is_explained(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["finetune"]["optimiser"] = {"learning_rate": "1e-4"}
    assert "found '1e-4'; YAML takes that for text" in problems(params, tmp_path)


def test_a_value_too_large_to_be_spelt_out_is_named_by_its_kind() -> None:
    with pytest.raises(SettingsError, match=r"num_pairs: .*found a int beyond reason"):
        validate(EvolutionSettings, {"kind": "evolution", "num_pairs": 10**5000}, "here")


def test_names_that_would_ruin_a_terminal_are_spelt_out(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["evaluators"]["\x1b[31m"] = {"kind": "bleu"}
    assert r"evaluators.'\x1b[31m'.[key]" in problems(params, tmp_path)


def test_a_hundred_problems_are_told_and_the_rest_counted(
    params: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    params["seeds"] = ["a"] * 1100  # type: ignore[assignment]
    message = problems(params, tmp_path)
    assert len(message.splitlines()) == 102
    assert "1,100 problems" in message
    assert message.endswith("and 1,000 more")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        check(tmp_path)


def test_a_python_object_in_params_yaml_is_refused_and_not_made(tmp_path: Path) -> None:
    path, mark = tmp_path / "params.yaml", tmp_path / "went_off"
    made = f"seed: !!python/object/apply:os.mkdir [{str(mark)!r}]\n"
    path.write_text(made)
    with pytest.raises(SettingsError, match=r"not valid YAML: .*python/object/apply:os\.mkdir"):
        check(path)
    assert not mark.exists()
    yaml.unsafe_load(made)
    assert mark.exists()  # it would have been


NAMES = [
    *("../x", "/etc/x", "a/b", "a\\b", ".", "..", "", "a b", "a\n", "x" * 65, "-r", "~"),
    *("con", "nul", "aux", "prn", "com1", "lpt9", "Bleu", "ä", "a.b", "a:b", "a*"),
]


@pytest.mark.parametrize(
    "section",
    [
        "evaluators",
        "generate.strategies",
        "finetune.guards",
        "evaluate.strategies",
        "evaluate.baseline_strategies",
        "evaluate.metrics",
    ],
)
def test_a_name_that_is_no_word_is_refused_wherever_something_is_called_by_it(
    params: dict[str, Any], tmp_path: Path, section: str
) -> None:
    inner: Any = params
    for key in section.split("."):
        inner = inner[key]
    kind = {"kind": "greedy"} if "strategies" in section else {"kind": "bleu"}
    inner |= dict.fromkeys(NAMES, kind)
    told = problems(params, tmp_path).splitlines()
    assert told[0].endswith(f"{len(NAMES)} problems")


def test_the_longest_name_still_fits_into_a_files_name(
    params: dict[str, Any], tmp_path: Path
) -> None:
    params["evaluators"]["x" * 64] = {"kind": "bleu"}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    assert "x" * 64 in check(path).evaluators
    longest = TrainedPolicy(arm=Arm(evaluator="x" * 64, control="likelihood"), seed=2**32 - 1)
    name = f"{evaluating_stage(longest.name)}.json"
    (tmp_path / name).touch()
    assert len(name) < 143  # what encrypted home folders leave


@pytest.mark.parametrize("control", ["../x", "", "a/b"])
def test_a_control_is_one_of_those_there_are(
    params: dict[str, Any], tmp_path: Path, control: str
) -> None:
    params["controls"] = {"evaluators": ["bleu"], "arms": [control]}
    assert "controls.arms.0" in problems(params, tmp_path)
