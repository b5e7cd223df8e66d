"""Every setting of params.yaml, as Markdown, read from the settings models when the site is built.

A model's fields give names, types, bounds and defaults; the texts below them in the source, and the
models' docstrings, say what they mean.
"""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from goa.config import Params

NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}
SIGNS = {Ge: ("ge", ">="), Gt: ("gt", ">"), Le: ("le", "<="), Lt: ("lt", "<")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of a settings model."""

    name: str
    kind: str
    """What it may be, links to other models included."""
    bound: str
    default: str
    """Empty where it must be given."""
    meaning: str


def models(root: type[BaseModel] = Params) -> dict[type[BaseModel], list[str]]:
    """Give a model and all that it is made of, in order, with the places where each may stand."""
    found: dict[type[BaseModel], list[str]] = {}

    def walk(model: type[BaseModel], place: str) -> None:
        new = model not in found
        found.setdefault(model, []).append(place)
        for name, field in model.model_fields.items() if new else ():
            for inner in _models_in(field.annotation):
                walk(inner, f"{place}.{name}".lstrip("."))

    walk(root, "")
    return found


def settings_of(model: type[BaseModel]) -> list[Setting]:
    """Describe each key of a model."""
    return [
        Setting(
            name=name,
            kind=_type(field.annotation),
            bound=", ".join(_bounds(field)),
            default=_default(field),
            meaning=_meaning(model, name, field),
        )
        for name, field in model.model_fields.items()
    ]


def markdown() -> str:
    """Write a section for each model."""
    parts = []
    for model, places in models().items():
        parts += [f"({_anchor(model)})=", f"## {_title(model)}", _text(model.__doc__ or ""), ""]
        if model is not Params:
            parts += [f"Stands at {', '.join(f'`{place}`' for place in places)}.", ""]
        parts += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
        parts += [
            f"| `{each.name}` | {', '.join(filter(None, (each.kind, each.bound)))} "
            f"| {each.default or 'required'} | {each.meaning} |"
            for each in settings_of(model)
        ]
        parts.append("")
    return "\n".join(parts)


def _title(model: type[BaseModel]) -> str:
    if model is Params:
        return "The whole file"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__.removesuffix("Settings"))
    return words[:1] + words[1:].lower()


def _anchor(model: type[BaseModel]) -> str:
    return f"settings-{model.__name__.lower()}"


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _type(annotation: Any) -> str:
    """Say what a value may be."""
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            told = " ".join([_type(arguments[0]), ", ".join(_constraints(arguments[1:]))]).strip()
        case typing.Literal:
            told = ", ".join(f"`{value}`" for value in arguments)
        case typing.Union | types.UnionType:
            told = " or ".join(dict.fromkeys(_type(each) for each in arguments))
        case origin if origin is list:
            told = f"list of {_type(arguments[0])}"
        case origin if origin is dict:
            told = f"mapping of names to {_type(arguments[1])}"
        case _ if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            told = f"[{_short(annotation)}](#{_anchor(annotation)})"
        case _:
            told = NAMES.get(annotation) or annotation.__name__
    return told


def _short(model: type[BaseModel]) -> str:
    """Name a model as a file of parameters does: by its kind, where it has one."""
    kind = model.model_fields.get("kind")
    return _type(kind.annotation) if kind else _title(model).lower()


def _bounds(field: FieldInfo) -> Iterator[str]:
    yield from _constraints(field.metadata)


def _constraints(metadata: Any) -> Iterator[str]:
    for each in metadata:
        if type(each) in SIGNS:
            attribute, sign = SIGNS[type(each)]
            yield f"{sign} {getattr(each, attribute)}"
        elif isinstance(each, FieldInfo):
            yield from _constraints(each.metadata)
        elif pattern := getattr(each, "pattern", None):
            yield f"matches `{pattern}`"
        elif isinstance(each, MinLen):
            yield f"at least {each.min_length} long"
        elif isinstance(each, MaxLen):
            yield f"at most {each.max_length} long"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    if field.is_required() or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_defaults=True)
        return f"`{_yaml(given)}`" if given else "as below"
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(each) for each in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or '""'


def _meaning(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """Find the text below a key, here or where it is inherited from; else that of its model."""
    if name == "kind":
        return "names what this is"
    for owner in model.__mro__:
        if issubclass(owner, BaseModel) and name in inspect.get_annotations(owner):
            texts = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
            if text := texts.get((owner.__qualname__, name)):
                return _text(" ".join(text))
    inner = list(_models_in(field.annotation))
    return _text((inner[0].__doc__ or "").partition("\n")[0]) if len(inner) == 1 else ""


def _text(docstring: str) -> str:
    """Turn a docstring into a line of Markdown that a table takes."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring.replace("``", "`"))
    return " ".join(text.replace("|", "\\|").split())


class SettingsReference(SphinxDirective):
    """Puts the sections where the page says so."""

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown as part of the page."""
        text = markdown()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("settings-reference", SettingsReference)
    return {"parallel_read_safe": True}
