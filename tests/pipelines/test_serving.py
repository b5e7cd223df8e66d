"""Tests of the served model."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, GreedySettings
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.storage import save_policy

pytestmark = [
    # What MLflow thinks of its own type hints when its model part is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(name="serving", scope="module")
def _import_serving() -> ModuleType:
    return importlib.import_module("pipelines.serving")


@pytest.fixture
def saved(policy: Policy, serving: ModuleType, tmp_path: Path) -> Path:
    """Save a tiny policy as a model and give its folder."""
    return save_model(policy, serving, tmp_path)


def save_model(policy: Policy, serving: ModuleType, tmp_path: Path) -> Path:
    save_policy(policy, tmp_path / "policy")
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=str(serving.__file__),
        artifacts={"policy": str(tmp_path / "policy")},
        signature=serving.signature(),
        input_example=serving.INPUT_EXAMPLE,
        pip_requirements=list(serving.requirements()),
    )
    return tmp_path / "model"


def test_the_model_writes_what_plain_beam_search_writes(saved: Path, policy: Policy) -> None:
    model = mlflow.pyfunc.load_model(str(saved))

    texts = model.predict(["the red bird", "a dog sleeps"], params={"max_tokens": 12})

    encoded = policy.tokenizer(["the red bird", "a dog sleeps"], padding=True, return_tensors="pt")
    written = policy.model.generate(
        input_ids=encoded["input_ids"],
        attention_mask=encoded["attention_mask"],
        num_beams=4,
        max_new_tokens=12,
        max_length=None,
    )
    assert texts == policy.texts(written.tolist())


@pytest.mark.parametrize("chat", [False, True])
def test_a_decoder_only_model_writes_on_from_its_prompt(
    make_policy: Callable[..., Policy], serving: ModuleType, tmp_path: Path, chat: bool
) -> None:
    policy = make_policy("llama")
    assert isinstance(policy, DecoderOnly)
    if chat:
        policy.prompt = PromptSettings(chat=True, system="red")
        policy.tokenizer.chat_template = (
            "{% for message in messages %}{{ message.content }} {% endfor %}bird"
        )
    model = mlflow.pyfunc.load_model(str(save_model(policy, serving, tmp_path)))
    sources = ["the red bird", "a dog sleeps at night"]

    texts = model.predict(sources, params={"strategy": "greedy", "max_tokens": 6})

    strategy = GreedySettings(kind="greedy", max_tokens=6)
    ours = generate(policy, policy.tokenize_sources(sources), strategy, 0, sources)
    assert texts == [row[0] for row in ours.texts]
    with pytest.raises(MlflowException, match="this model reads 31 at most"):
        model.predict(["bird " * 32])


def test_parameters_change_the_decoding(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))

    short = model.predict(["the red bird"], params={"strategy": "greedy", "max_tokens": 2})

    assert len(short[0]) < len(model.predict(["the red bird"])[0])


def test_greedy_decoding_has_one_beam(saved: Path) -> None:
    served = mlflow.pyfunc.load_model(str(saved)).unwrap_python_model()
    assert served._generation_config({"strategy": "greedy", "num_beams": 4}).num_beams == 1


def test_the_length_penalty_is_the_one_that_was_asked_for(saved: Path) -> None:
    served = mlflow.pyfunc.load_model(str(saved)).unwrap_python_model()
    assert served._generation_config({"length_penalty": 0.5}).length_penalty == 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_beam": 2}, r"\['num_beam'\] at inference\. Supported params are"),
        ({"strategy": "best"}, "'best' is none of greedy, beam"),
        ({"num_beams": 0}, "1 or more"),
        ({"num_beams": "four"}, "num_beams"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(
    saved: Path, params: dict[str, object], message: str
) -> None:
    model = mlflow.pyfunc.load_model(str(saved))

    with pytest.raises(MlflowException, match=message):
        model.predict(["the red bird"], params=params)


def test_a_source_beyond_the_models_positions_is_refused(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))

    with pytest.raises(MlflowException, match="this model reads 32 at most"):
        model.predict(["the red bird " * 30])


def test_the_model_says_what_it_takes_and_needs(saved: Path) -> None:
    model = mlflow.models.Model.load(str(saved))
    needs = (saved / "requirements.txt").read_text().split()

    defaults = {param.name: param.default for param in model.signature.params}
    beam = BeamSettings(kind="beam")
    assert defaults == {
        "strategy": "beam",
        "num_beams": beam.num_beams,
        "length_penalty": beam.length_penalty,
        "max_tokens": beam.max_tokens,
    }
    assert json.loads((saved / "input_example.json").read_text())
    assert all("==" in line and "+" not in line and "/" not in line for line in needs)
    assert not list(saved.rglob("*.pkl"))


def test_the_model_needs_nothing_of_goa(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("goa", "pipelines"):
            monkeypatch.setitem(sys.modules, name, None)

    assert len(mlflow.pyfunc.load_model(str(saved)).predict(["the red bird"])) == 1
