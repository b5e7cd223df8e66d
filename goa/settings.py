"""Settings: read once, checked whole, frozen.

Each component owns a :class:`Settings` model next to its code. A stage reads the sections it needs
with :func:`read_sections`; ``goa.config`` assembles all of them to check a whole file.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model

from goa.errors import SettingsError, excerpt


class Settings(BaseModel):
    """Base of every settings model: frozen, unknown keys refused, nothing converted in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)

LONGEST_NAME = 64
"""Characters; with an arm and a seed behind it, a name still fits into a file's name."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def check_name(name: str) -> str:
    """Refuse a name that is more than a word: files, folders and stages are called by it.

    Raises:
        ValueError: it could lead out of its folder, or some machine cannot write such a file.
    """
    if not re.fullmatch(r"[a-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "a name starts with a lower-case letter and goes on with letters, digits, _"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(f"a name has {LONGEST_NAME} characters at most, this one {len(name)}")
    if _DEVICES.fullmatch(name):
        raise ValueError(f"{name} is a device's name on Windows, not a file's; choose another")
    return name


Name = Annotated[str, AfterValidator(check_name)]
"""What users call a part of theirs."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        SettingsError: the file is missing, is not UTF-8, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; run from the project's folder") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected a mapping of sections, found {_show(content)}")
    return content


def read_sections(path: Path, **models: Any) -> Any:
    """Read some top-level sections of a settings file, each by its own type.

    ``read_sections(path, seed=int, pretrain=PretrainSettings)`` returns a frozen object with the
    fields ``seed`` and ``pretrain``; the other sections of the file are not looked at.

    Raises:
        SettingsError: every problem of these sections, one a line.
    """
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in models.items()}
    sections = create_model("Sections", __base__=Settings, **fields)
    content = read_yaml(path)
    known = {name: value for name, value in content.items() if name in models}
    return validate(sections, known, str(path))


def validate(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """Build a settings model from plain values, or raise with all problems at once.

    Raises:
        SettingsError: one line a problem: key path, value found, what is allowed, nearest name.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_describe(problem, model) for problem in error.errors(include_url=False)]
        count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
        raise SettingsError("\n".join([f"{where}: {count}", *lines])) from None


def _describe(problem: Any, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        names = sorted(_names_beside(model, problem["loc"]))
        near = difflib.get_close_matches(str(problem["loc"][-1]), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
        return f"  {path}: unknown setting; {hint}"
    if kind == "missing":
        return f"  {path}: missing"
    found = _show(problem["input"])
    if kind == "union_tag_invalid":
        allowed = [name.strip(" '") for name in context["expected_tags"].split(",")]
        near = difflib.get_close_matches(str(context["tag"]), allowed, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        tag_key = context["discriminator"].strip("'")
        return f"  {path}.{tag_key}: {context['tag']!r} is none of {', '.join(allowed)}{hint}"
    message = problem["msg"].removeprefix("Value error, ")
    told = f"  {path}: {message[:1].lower()}{message[1:]}"
    # A whole section that does not fit together: its message names what it is about.
    return told if isinstance(problem["input"], dict) else f"{told}, found {found}"


def _show(value: Any) -> str:
    return excerpt(repr(value))


def _names_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Collect the field names that would have been right where an unknown key was found."""
    models = [model]
    for part in location[:-1]:
        inner = [
            found
            for candidate in models
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[str(part)].annotation)
        ]
        # A dictionary key or a union tag is part of the location but not a field: stay.
        models = inner or models
    return {name for candidate in models for name in candidate.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
