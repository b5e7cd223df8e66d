"""The packages that were tested together, and those that are here.

``requirements.lock`` is the one list of what was tested: it stands beside the sources, and an
installed goa has a copy of it in ``share/goa``.
"""

import platform
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from goa.errors import DataError
from pipelines.findings import Finding, fail, ok, warn

LOCK = "requirements.lock"
SHOWN = ("dvc", "mlflow", "prefect", "fastapi", "torch", "transformers")
"""Told of even if they are as tested; of the other packages that goa asks for, only the rest."""
PYTHON = "# CPython "
"""Start of the lock's line that says what it was made with."""


def check_versions() -> Iterator[Finding]:
    """Hold what is installed against what goa asks for, and against what was tested.

    Raises:
        DataError: there is no list of what was tested.
    """
    lock = _find_lock().read_text(encoding="utf-8")
    tested = locked_versions(lock)
    asked = asked_versions()
    yield _check_python(lock)
    for name in dict.fromkeys([*SHOWN, *asked]):
        finding = _check(name, asked.get(name, SpecifierSet()), tested.get(name))
        if name in SHOWN or finding.state != "ok":
            yield finding


def locked_versions(lock: str) -> dict[str, str]:
    """Read a lock file: package -> version."""
    pins = (line.partition("==") for line in lock.splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version.strip() for name, equals, version in pins if equals}


def asked_versions() -> Mapping[str, SpecifierSet]:
    """Read what an installed goa asks for, without its extras; empty where it is not installed."""
    try:
        lines = metadata.requires("goa") or []
    except metadata.PackageNotFoundError:
        return {}
    asked = [Requirement(line) for line in lines]
    return {
        canonicalize_name(each.name): each.specifier
        for each in asked
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _check(name: str, asked: SpecifierSet, tested: str | None) -> Finding:
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return fail(name, f"not installed; pip install '{name}=={tested}'")
    public = Version(installed).public  # 2.13.0+cpu is the tested 2.13.0
    if not asked.contains(public, prereleases=True):
        return fail(name, f"{installed}; goa works with {asked}; pip install '{name}=={tested}'")
    if tested is not None and public != tested:
        return warn(name, f"{installed}; tested with {tested}")
    return ok(name, installed)


def _check_python(lock: str) -> Finding:
    here = platform.python_version()
    tested = next((line for line in lock.splitlines() if line.startswith(PYTHON)), "")
    tested = tested.removeprefix(PYTHON)
    if tested and here.split(".")[:2] != tested.split(".")[:2]:
        return warn("python", f"{here}; tested with {tested}")
    return ok("python", here)


def _find_lock() -> Path:
    places = [
        Path(__file__).parents[1] / LOCK,
        Path(sysconfig.get_path("data")) / "share" / "goa" / LOCK,
    ]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise DataError(f"no {LOCK} in {' or '.join(str(path.parent) for path in places)}")
    return found
