"""dvc.yaml, params.yaml, the settings models and the stage modules agree."""

from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from goa.config import Params

PROJECT = Path(__file__).parents[2]
STAGES: dict[str, Any] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text())
DEFINITIONS = {name: stage.get("do", stage) for name, stage in STAGES.items()}
NOT_STAGES = {"run", "tracking", "promotion"}
"""Sections that no stage reads: they say how stages are run and recorded."""


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("goa", "pipelines", cache_dir=None)


def module_of(name: str) -> str:
    """The module that a stage's command runs."""
    words = DEFINITIONS[name]["cmd"].split()
    assert words[:2] == ["python", "-m"]
    return str(words[2])


def is_covered(path: Path, dependencies: list[str]) -> bool:
    return any(
        path == Path(dependency) or Path(dependency) in path.parents for dependency in dependencies
    )


def file_of(module: str) -> Path:
    path = Path(*module.split("."))
    package = path / "__init__.py"
    return package if (PROJECT / package).exists() else path.with_suffix(".py")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_the_module_of_its_name(name: str) -> None:
    group = name.removesuffix("_mle").removesuffix("_control")
    assert module_of(name) == f"pipelines.{'finetune' if group == 'control' else group}"
    assert (PROJECT / file_of(module_of(name))).exists()


@pytest.mark.parametrize("name", STAGES)
def test_its_dependencies_cover_every_goa_file_it_imports(
    name: str, imports: grimp.ImportGraph
) -> None:
    module = module_of(name)
    needed = imports.find_upstream_modules(module) | {module}
    # Of the application, its own module and what shares its work; not how stages are run.
    parts = ("", ".stage", ".graph", ".stage_graph", ".fingerprint", ".launch", ".stopping")
    plumbing = {f"pipelines{part}" for part in parts}
    missing = [
        str(file_of(found))
        for found in sorted(needed - plumbing)
        if not is_covered(file_of(found), DEFINITIONS[name]["deps"])
    ]
    assert missing == []


@pytest.mark.parametrize("name", STAGES)
def test_it_depends_on_no_goa_file_that_it_does_not_import(
    name: str, imports: grimp.ImportGraph
) -> None:
    module = module_of(name)
    needed = {file_of(found) for found in imports.find_upstream_modules(module) | {module}}
    code = [dep for dep in DEFINITIONS[name]["deps"] if dep.startswith(("goa/", "pipelines/"))]
    useless = [dep for dep in code if not any(is_covered(path, [dep]) for path in needed)]
    assert useless == []
    assert all((PROJECT / dep).exists() for dep in code)


def test_every_section_of_the_parameters_is_read_by_a_stage_or_says_how_stages_are_run() -> None:
    read = {str(key).partition(".")[0] for stage in DEFINITIONS.values() for key in stage["params"]}
    assert read | NOT_STAGES >= set(PARAMS)
    assert set(PARAMS) | NOT_STAGES >= read
    assert set(Params.model_fields) == read | NOT_STAGES


def test_a_stage_of_one_evaluator_depends_on_that_evaluators_settings_alone() -> None:
    keys = {"score": "${key}", "finetune": "${item.evaluator}", "control": "${item.evaluator}"}
    for name, key in keys.items():
        named = [each for each in DEFINITIONS[name]["params"] if each.startswith("evaluators")]
        assert named == [f"evaluators.{key}"]


@pytest.mark.parametrize(
    ("own", "control"), [("finetune", "control"), ("evaluate", "evaluate_control")]
)
def test_a_control_is_run_as_the_arm_beside_it(own: str, control: str) -> None:
    one, other = ({**DEFINITIONS[name], "matrix": None} for name in (own, control))
    other["outs"] = [path.replace(f"costs/{control}@", f"costs/{own}@") for path in other["outs"]]
    assert one == other


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_cost_is_an_output_that_only_the_comparison_reads(name: str) -> None:
    """It is other in every run: whatever depends on it is stale whenever a stage ran again."""
    costs = [path for path in DEFINITIONS[name]["outs"] if path.startswith("out/costs")]
    reads = [path for path in DEFINITIONS[name]["deps"] if path.startswith("out/costs")]
    if name == "compare":
        assert (costs, reads) == ([], ["out/costs"])
    else:
        stage = f"{name}@${{key}}" if STAGES[name].keys() & {"foreach", "matrix"} else name
        assert (costs, reads) == ([f"out/costs/{stage}.json"], [])


def test_every_output_is_one_that_dvc_pushes_and_removes_before_a_run() -> None:
    """What is not cached is never pushed: another machine would run the stage again.

    What persists would be left in place where code or parameters have changed.
    """
    for stage in DEFINITIONS.values():
        for output in [*stage["outs"], *stage["metrics"], *stage.get("plots", [])]:
            if isinstance(output, dict):
                (flags,) = output.values()
                assert flags.get("cache", True)
                assert not flags.get("persist", False)


@pytest.mark.parametrize(
    "path", [PROJECT / "params.yaml", *sorted((PROJECT / "experiments").glob("*.yaml"))], ids=str
)
def test_every_file_of_parameters_has_what_dvc_watches(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    watched = {
        name
        for stage in DEFINITIONS.values()
        for name in stage.get("params", [])
        if "$" not in name
    }
    for name in watched:
        section: Any = content
        for key in name.split("."):
            assert key in section, name
            section = section[key]
