"""Settings: read once, checked whole, frozen.

Each component owns a :class:`Settings` model next to its code. A stage reads the sections it needs
with :func:`read_sections`; ``goa.config`` assembles all of them to check a whole file.
"""

import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model

from goa.errors import SettingsError, excerpt
from goa.yaml_text import parse_yaml


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


SHOWN = 100
"""Problems that one message has room for."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        SettingsError: the file cannot be read, is not UTF-8, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; run from the project's folder") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    content = parse_yaml(text, str(path))
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
        problems = error.errors(include_url=False)
        lines = [_describe(problem, model) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"  and {len(problems) - SHOWN:,} more")
        count = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
        raise SettingsError("\n".join([f"{where}: {count}", *lines])) from None


def _describe(problem: Any, model: type[BaseModel]) -> str:
    """Say in a line where a problem is, what was found, and what would be right."""
    place, kind, found = problem["loc"], problem["type"], problem["input"]
    path = ".".join(map(_key, place))
    match kind:
        case "extra_forbidden":
            return f"  {path}: unknown setting; {_nearest(str(place[-1]), place, model)}"
        case "missing":
            return f"  {path}: missing"
        case "union_tag_not_found":
            kinds = sorted({name for one in _models_at(model, place) for name in _kinds(one)})
            told = f".kind: missing; known: {', '.join(kinds)}"
        case "union_tag_invalid":
            told = f".kind: {_unknown_kind(problem['ctx'])}"
        case "model_type" | "model_attributes_type" | "dict_type":
            told = f": expected a mapping of settings, found {_show(found)}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            told = f": {message[:1].lower()}{message[1:]}"
            # Of a whole section that does not fit together the message names what it is about.
            if kind != "value_error" or not isinstance(found, dict):
                told += f", found {_show(found)}{_hint(kind, found)}"
    return f"  {path}{told}"


def _nearest(name: str, place: Sequence[int | str], model: type[BaseModel]) -> str:
    known = sorted({name for one in _models_at(model, place[:-1]) for name in one.model_fields})
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _unknown_kind(context: Mapping[str, str]) -> str:
    allowed = [name.strip(" '") for name in context["expected_tags"].split(",")]
    near = difflib.get_close_matches(context["tag"], allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{_show(context['tag'])} is none of {', '.join(allowed)}{hint}"


def _show(value: Any) -> str:
    try:
        return excerpt(repr(value))
    except (ValueError, RecursionError):  # a number too long, or a list too deep, to be spelt out
        return f"a {type(value).__name__} beyond reason"


def _key(part: int | str) -> str:
    """Show a part of a key path: names are anybody's, and may hold what ruins a terminal."""
    name = str(part)
    return excerpt(name if name.isprintable() else repr(name))


def _hint(kind: str, found: Any) -> str:
    """Explain the text that YAML takes a number for."""
    if kind not in ("float_type", "int_type") or not isinstance(found, str):
        return ""
    try:
        float(found)
    except ValueError:
        return ""
    return "; YAML takes that for text: no quotes, and an exponent as in 1.0e-4"


def _models_at(kind: Any, location: Sequence[int | str]) -> Iterator[type[BaseModel]]:
    """Find the settings models that may stand at a place, as pydantic names places.

    A place is told by fields, keys and indices, and where there is a choice of models also by the
    kind, or the name, of the one that was chosen.
    """
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _models_within(kind, location)
    elif typing.get_origin(kind) in (dict, list):
        yield from _models_at(typing.get_args(kind)[-1], location[1:])
    else:
        for choice in typing.get_args(kind):
            yield from _models_at(choice, location)


def _models_within(
    model: type[BaseModel], location: Sequence[int | str]
) -> Iterator[type[BaseModel]]:
    if not location:
        yield model
        return
    first, rest = location[0], location[1:]
    if first in model.model_fields:
        yield from _models_at(model.model_fields[str(first)].annotation, rest)
    elif first in (model.__name__, *_kinds(model)):
        yield from _models_within(model, rest)


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    kind = model.model_fields.get("kind")
    return typing.get_args(kind.annotation) if kind else ()
