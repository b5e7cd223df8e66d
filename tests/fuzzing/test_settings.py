"""Whatever params.yaml says: it is taken, or a message names the place and what is wrong there."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from goa.config import Params, check
from goa.errors import SettingsError
from goa.settings import validate
from tests.fuzzing.bad_input import BYTES, DATE, VALUES, YAML_TEXTS, misspelt, mutated
from tests.fuzzing.cases import fuzz
from tests.fuzzing.places import Place, places, put

PROJECT = Path(__file__).parents[2]
BASE = json.dumps(yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8")))
PLACES = list(places(Params))
REQUIRED = [place for place in PLACES if place.field.is_required()]
BOUND = [(place, value) for place in PLACES for value in place.too_far()]
FRAGMENT = b"""\
seed: 17  # of all
seeds: [17, 18]
data: &data
  path: "data/mine"
  corpus: {kind: tsv, source: 0, references: [1, two]}
evaluators:
  bleu: {kind: bleu, smooth: null}
  rule: {kind: rule, relevance: 0.5}
finetune: {<<: *data, learning_rate: 1.0e-3}
"""


def problems(content: Any) -> str:
    """Give the message about a content; empty where there is nothing wrong with it."""
    try:
        validate(Params, content, "params.yaml")
    except SettingsError as error:
        return well_told(str(error))
    return ""


def well_told(message: str) -> str:
    """See that a message is one that can be shown, and says where."""
    assert message.startswith("params.yaml: ")
    assert len(message) < 20_000
    assert all(len(line) < 1000 for line in message.splitlines())
    message.encode()
    return message


def lines_about(place: Place, message: str) -> list[str]:
    """Give the lines about a place: kinds and names of models may stand within its path."""
    keys = [str(key) for key in place.path]
    found = []
    for line in message.splitlines()[1:]:
        told = iter(line.partition(": ")[0].strip().split("."))
        if all(key in told for key in keys):
            found.append(line)
    return found


def test_every_section_is_walked() -> None:
    assert len(PLACES) > 1000
    assert {place.path[0] for place in PLACES} == set(Params.model_fields)
    kinds = {planted[-1][1].__name__ for place in PLACES if (planted := place.planted)}
    assert {"BleuSettings", "CompositePartSettings", "PpoSettings", "MbrSettings"} <= kinds


@fuzz("params.yaml: a value of a wrong type", 150, place=st.sampled_from(PLACES))
def test_a_wrong_type_is_named_with_its_place_and_what_was_found(place: Place) -> None:
    content = place.content(BASE)
    put(content, place.path, DATE)
    told = lines_about(place, problems(content))
    assert any("2024" in line for line in told), place


@fuzz("params.yaml: a setting left out", 60, place=st.sampled_from(REQUIRED))
def test_what_is_missing_is_named(place: Place) -> None:
    content = place.content(BASE)
    put(content, place.path, None)
    inner: Any = content
    for key in place.path[:-1]:
        inner = inner[key]
    del inner[place.path[-1]]
    assert any("missing" in line for line in lines_about(place, problems(content))), place


@fuzz("params.yaml: a value out of range", 100, bound=st.sampled_from(BOUND))
def test_what_is_out_of_range_is_named(bound: tuple[Place, Any]) -> None:
    place, value = bound
    content = place.content(BASE)
    put(content, place.path, value)
    assert lines_about(place, problems(content)), (place, value)


@fuzz("params.yaml: a misspelt setting", 200, place=st.sampled_from(PLACES), data=st.data())
def test_a_misspelt_setting_names_the_nearest(place: Place, data: st.DataObject) -> None:
    right = str(place.path[-1])
    beside = {
        str(other.path[-1])
        for other in PLACES
        if (other.path[:-1], other.planted) == (place.path[:-1], place.planted)
    }
    wrong = data.draw(misspelt(right).filter(lambda name: name not in beside))
    content = place.content(BASE)
    put(content, (*place.path[:-1], wrong), DATE)
    message = problems(content)
    told = [line for line in message.splitlines() if f"{wrong}: unknown setting; " in line]
    assert len(told) == 1, place
    hint = told[0].partition("unknown setting; ")[2]
    if hint.startswith("did you mean "):
        near = hint.removeprefix("did you mean ").removesuffix("?")
        assert near in beside, place
        assert likeness(wrong, near) >= likeness(wrong, right), place
    else:
        assert right in hint.removeprefix("known here: ").split(", "), place


def likeness(wrong: str, name: str) -> float:
    return difflib.SequenceMatcher(None, name, wrong).ratio()


@fuzz("params.yaml: any value anywhere", 600, place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_in_any_place_is_taken_or_refused_in_words(place: Place, value: Any) -> None:
    content = place.content(BASE)
    put(content, place.path, value)
    problems(content)


@fuzz("params.yaml: any value as the whole", 60, value=VALUES)
def test_any_content_is_refused_in_words(value: Any) -> None:
    assert problems(value)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], None]:
    """Check bytes as a file; they may be right by chance."""
    path = tmp_path_factory.mktemp("settings") / "params.yaml"

    def told(content: bytes) -> None:
        path.write_bytes(content)
        try:
            check(path)
        except SettingsError as error:
            well_told(str(error).replace(str(path), "params.yaml"))

    return told


@fuzz("YAML: bytes", 100, content=BYTES)
def test_any_bytes_are_refused_in_words(content: bytes, read: Callable[[bytes], None]) -> None:
    read(content)


@fuzz("YAML: what YAML is made of", 400, text=YAML_TEXTS)
def test_any_yaml_is_refused_in_words(text: str, read: Callable[[bytes], None]) -> None:
    read(text.encode("utf-8", "surrogatepass"))


@fuzz("YAML: a good file, spoilt", 100, content=mutated(FRAGMENT))
def test_a_spoilt_file_is_refused_in_words(content: bytes, read: Callable[[bytes], None]) -> None:
    read(content)
