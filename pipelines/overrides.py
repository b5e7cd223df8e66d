"""What a run says otherwise than the project's params.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from goa.errors import SettingsError
from goa.settings import read_yaml
from goa.yaml_text import parse_yaml


def edit_params(path: Path, overrides: Sequence[str], evaluators: Sequence[str]) -> None:
    """Write overrides into a file of parameters, and leave out evaluators that are not named.

    Their controls go, too.

    Raises:
        SettingsError: an override has no ``=``, or names what the file does not have, or an
            evaluator is not there.
    """
    params = read_yaml(path)
    for override in overrides:
        _override(params, override, path.name)
    if evaluators:
        _keep_evaluators(params, evaluators, path.name)
    if overrides or evaluators:
        path.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))


def _override(params: dict[str, Any], override: str, file: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise SettingsError(f"override {override!r}: expected key.path=value")
    *sections, last = key.split(".")
    inner: Any = params
    for section in sections:
        inner = inner.get(section) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        raise SettingsError(f"override {override!r}: {file} has no {key}")
    inner[last] = parse_yaml(value, f"override {override!r}")


def _keep_evaluators(params: dict[str, Any], names: Sequence[str], file: str) -> None:
    known = params.get("evaluators", {})
    if not isinstance(known, dict):
        raise SettingsError(f"{file}: evaluators: expected a mapping of settings")
    if missing := [name for name in names if name not in known]:
        raise SettingsError(f"{file} has no evaluator {missing[0]!r}; known: {', '.join(known)}")
    params["evaluators"] = {name: known[name] for name in known if name in names}
    if isinstance(controls := params.get("controls"), dict):
        kept = [name for name in controls.get("evaluators", ()) if name in names]
        params["controls"] = {**controls, "evaluators": kept}
