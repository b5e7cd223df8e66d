"""The table of docs/versions.md, against what is locked and what goa asks for."""

import itertools
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.versions import PYTHON, SHOWN, locked_versions

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "versions.md").read_text(encoding="utf-8")
LOCK = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
ROWS = {
    name: (tested, tuple(part.strip() for part in allowed.split(",")))
    for name, tested, allowed in re.findall(r"^\| (\S+) \| (\S+) \| `(.+?)` \|", PAGE, re.MULTILINE)
}


def test_every_version_of_the_table_is_the_locked_one() -> None:
    python = re.search(f"{PYTHON}(.+)", LOCK)
    assert python is not None
    versions = {**locked_versions(LOCK), "python": python[1]}
    assert {name: tested for name, (tested, _) in ROWS.items()} == {
        name: versions[name] for name in ROWS
    }


def test_every_range_of_the_table_is_what_goa_asks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    groups = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *itertools.chain.from_iterable(groups)]
    asked = {
        canonicalize_name(each.name): str(each.specifier) for each in map(Requirement, lines)
    } | {"python": project["requires-python"]}
    for name, (_, allowed) in ROWS.items():
        assert set(allowed) == set(asked[name].split(",")), name


def test_what_the_doctor_always_tells_of_is_in_the_table() -> None:
    assert set(SHOWN) < set(ROWS)
