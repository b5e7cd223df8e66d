"""The reference of settings: every key, from the models themselves."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from docs import settings_reference as reference
from goa.config import Params
from goa.settings import Settings


class Inner(Settings):
    """What is inside."""

    kind: Literal["inner"]
    share: float = Field(0.5, gt=0.0, le=1.0)
    """Of the whole; either | or."""


class Outer(Settings):
    """A pair of them."""

    inner: Inner
    numbers: list[Annotated[int, Field(ge=2)]] | None = Field(None, max_length=3)
    """Any; see :class:`Inner`."""


@pytest.fixture(scope="module")
def keys() -> list[tuple[str, reference.Setting]]:
    return [
        (model.__name__, each)
        for model in reference.models()
        for each in reference.settings_of(model)
    ]


def test_every_key_of_a_file_of_parameters_says_what_it_means(keys) -> None:
    assert len(keys) > 300
    silent = [f"{model}.{each.name}" for model, each in keys if not each.meaning]
    assert silent == []
    assert all(each.kind for _, each in keys)


def test_every_section_and_every_evaluator_and_objective_is_there() -> None:
    text = reference.markdown()
    for name in Params.model_fields:
        assert f"\n| `{name}` |" in text
    assert "| `slots` | integer, >= 1, <= 64 | `2` | Stages that" in text
    for kind in ("bleu", "composite", "http", "reinforce", "evolution", "stochastic_beam"):
        assert f"[`{kind}`](#settings-" in text


def test_a_key_has_type_bound_default_and_meaning() -> None:
    (_, share) = reference.settings_of(Inner)
    assert (share.kind, share.bound, share.default) == ("number", "> 0.0, <= 1.0", "`0.5`")
    assert share.meaning == r"Of the whole; either \| or."
    inner, numbers = reference.settings_of(Outer)
    assert (inner.kind, inner.default) == ("[`inner`](#settings-inner)", "")
    assert inner.meaning == "What is inside."
    assert numbers.kind == "list of integer >= 2 or null"
    assert (numbers.bound, numbers.default) == ("at most 3 long", "`null`")
    assert numbers.meaning == "Any; see `Inner`."


def test_a_model_says_where_it_stands() -> None:
    assert reference.models(Outer) == {Outer: [""], Inner: ["inner"]}
