"""What a report says about getting its numbers again."""

from importlib import metadata
from pathlib import Path

import pytest
import yaml

from pipelines.recipe import SECTIONS, make_recipe

PROJECT = Path(__file__).parents[2]


def test_the_stage_depends_on_every_parameter_that_is_shown() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    assert tuple(stages["compare"]["params"]) == SECTIONS


def test_settings_are_those_that_stages_read() -> None:
    recipe = make_recipe(PROJECT / "params.yaml", {})
    whole = yaml.safe_load((PROJECT / "params.yaml").read_text())
    unread = {"run", "tracking", "promotion"}
    assert yaml.safe_load(recipe.settings) == {
        name: value for name, value in whole.items() if name not in unread
    }


def test_digests_are_of_what_was_read_and_not_of_code() -> None:
    made_of = {"command": "python", "seed": "1", "goa/arms.py": "sha256:a", "out/data": "sha256:b"}
    assert make_recipe(PROJECT / "params.yaml", made_of).digests == {"out/data": "sha256:b"}


def test_seeds_and_versions_are_given() -> None:
    recipe = make_recipe(PROJECT / "params.yaml", {})
    assert recipe.seeds["fine-tuning"] == "17"
    assert {"python", "torch", "sacrebleu"} <= recipe.versions.keys()


def test_run_from_its_sources_goa_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.version

    def version(name: str) -> str:
        if name == "goa":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    versions = make_recipe(PROJECT / "params.yaml", {}).versions
    assert "goa" not in versions
    assert versions["torch"] == known("torch")
