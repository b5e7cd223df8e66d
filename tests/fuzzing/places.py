"""Every place of params.yaml, found by walking the settings models: a new setting is one more."""

import json
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]
KEY = "fuzzed"
"""Of an entry in a mapping whose keys are anybody's."""


@dataclass(frozen=True)
class Place:
    """One field of one model, at one path."""

    path: Path
    """Of the field."""
    field: FieldInfo
    planted: tuple[tuple[Path, type[BaseModel]], ...]
    """Models that have to stand on the way, outermost first, where the file has others."""

    def __repr__(self) -> str:
        return ".".join(map(str, self.path))

    def content(self, base: str) -> dict[str, Any]:
        """Give the file's content, of which the base is JSON, with all on the way to this place."""
        found: dict[str, Any] = json.loads(base)
        for path, model in self.planted:
            put(found, path, minimal(model))
        return found

    def too_far(self) -> list[Any]:
        """List values just outside of the field's bounds."""
        bounds = [bound for part in _parts(self.field) for bound in part]
        whole = int in _kinds(self.field.annotation)
        step = 1 if whole else 0.001
        found: list[Any] = []
        for bound in bounds:
            match bound:
                case Ge(ge):
                    found.append(ge - step)
                case Gt(gt):
                    found.append(gt)
                case Le(le):
                    found.append(le + step)
                case Lt(lt):
                    found.append(lt)
                case MinLen(length) if length == 1 and str in _kinds(self.field.annotation):
                    found.append("")
                case MaxLen(length) if str in _kinds(self.field.annotation):
                    found.append("x" * (length + 1))
        return found


def places(annotation: Any, path: Path = (), planted: tuple[Any, ...] = ()) -> Iterator[Place]:
    """Walk an annotation: models, and what stands in their fields, mappings, lists, choices."""
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            yield Place(path=(*path, name), field=field, planted=planted)
            yield from places(field.annotation, (*path, name), planted)
        return
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if typing.get_origin(annotation) is dict:
        inner, path = arguments[-1:], (*path, KEY)
    elif typing.get_origin(annotation) is list:
        inner, path = arguments, (*path, 0)
    else:
        inner = arguments
    for each in inner:
        # A choice, an entry, or what is null by default: the file may have something else there.
        here = ((path, each),) if _is_model(each) else ()
        yield from places(each, path, (*planted, *here))


def put(content: Any, path: Path, value: Any) -> None:
    """Put a value at a path; what is missing on the way is made."""
    for key, following in pairwise(path):
        if isinstance(content, list):
            content = content[0]
        else:
            content = content.setdefault(key, [] if following == 0 else {})
    if isinstance(content, list):
        content[:] = [value]
    else:
        content[path[-1]] = value


def minimal(annotation: Any) -> Any:
    """Make the least that an annotation takes, but for what patterns ask."""
    if _is_model(annotation):
        return {
            name: minimal(field.annotation)
            for name, field in annotation.model_fields.items()
            if field.is_required() or name == "kind"
        }
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is dict:
        return {KEY: minimal(arguments[1])}
    if origin is list:
        return [minimal(arguments[0])]
    if arguments:
        return minimal(arguments[0])
    return {int: 1, float: 0.5, bool: True, str: "x"}.get(annotation)


def _is_model(annotation: Any) -> bool:
    plain = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    return plain and issubclass(annotation, BaseModel)


def _kinds(annotation: Any) -> set[Any]:
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in (dict, list, Literal):
        return {typing.get_origin(annotation)}
    return {kind for each in inner for kind in _kinds(each)} if inner else {annotation}


def _parts(field: FieldInfo) -> Iterator[list[Any]]:
    # Only where there is one kind: a bound of one choice does not bind the others.
    if len(_kinds(field.annotation) - {type(None)}) == 1:
        yield list(field.metadata)
