"""Tests of the served model."""

import ast
import importlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, GreedySettings
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.storage import save_policy
from pipelines.cli import app
from tests.conftest import SENTENCES
from tests.services import HOST, answering, free_port

PROJECT = Path(__file__).parents[2]


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
        code_paths=[str(package) for package in serving.packages()],
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
    with pytest.raises(MlflowException, match="the model's 32 positions"):
        model.predict(["bird " * 32])


def test_parameters_change_the_decoding(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))

    short = model.predict(["the red bird"], params={"strategy": "greedy", "max_tokens": 2})

    assert len(short[0]) < len(model.predict(["the red bird"])[0])


def test_parameters_are_those_of_the_strategy_they_name(serving: ModuleType) -> None:
    assert serving._strategy({"strategy": "greedy", "max_tokens": 9}) == GreedySettings(
        kind="greedy", max_tokens=9
    )
    assert serving._strategy({"num_beams": 2, "length_penalty": 0.5}) == BeamSettings(
        kind="beam", num_beams=2, length_penalty=0.5
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_beam": 2}, "unknown parameter 'num_beam'; known: strategy"),
        ({"strategy": "best"}, "strategy 'best' is none of beam, greedy"),
    ],
)
def test_a_parameter_is_refused_also_where_mlflow_lets_it_through(
    serving: ModuleType, params: dict[str, object], message: str
) -> None:
    with pytest.raises(MlflowException, match=message):
        serving._strategy(params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_beam": 2}, r"\['num_beam'\] at inference\. Supported params are"),
        ({"strategy": "best"}, "'best' is none of beam, greedy"),
        ({"num_beams": 1}, "num_beams: input should be greater than or equal to 2, found 1"),
        ({"strategy": "greedy", "max_tokens": 0}, "max_tokens: input should be greater"),
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

    with pytest.raises(MlflowException, match="longer than the model's 32"):
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
    documented = " ".join((PROJECT / "docs" / "registry.md").read_text().split())
    assert all(f"`{name}` ({default})" in documented for name, default in defaults.items())
    assert json.loads((saved / "input_example.json").read_text())
    assert all("==" in line and "+" not in line and "/" not in line for line in needs)
    assert not list(saved.rglob("*.pkl"))


def test_the_model_brings_its_goa_along_and_names_what_that_needs(
    saved: Path, serving: ModuleType, tmp_path: Path
) -> None:
    code = f"""
import mlflow, sys
assert mlflow.pyfunc.load_model({str(saved)!r}).predict(["the red bird"]) != [""]
ours = [name for name in sys.modules if name.partition(".")[0] in ("goa", "pipelines")]
print(*[sys.modules[name].__file__ for name in ours])
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True
    )
    # However many goas are installed here, it is that of the model.
    used = [Path(path) for path in said.splitlines()[-1].split()]
    assert {path.is_relative_to(saved / "code" / "goa") for path in used} == {True}
    needed = {name for path in used for name in _imports(path)} - sys.stdlib_module_names - {"goa"}
    known = metadata.packages_distributions()
    assert {known[name][0] for name in needed} < set(serving.PACKAGES)


@pytest.mark.parametrize("architecture", ["marian", pytest.param("llama", marks=pytest.mark.long)])
def test_a_server_answers_what_goa_generate_writes(
    make_policy: Callable[..., Policy], serving: ModuleType, tmp_path: Path, architecture: str
) -> None:
    model = save_model(make_policy(architecture), serving, tmp_path)
    # More than a batch; of a decoder-only model some prompts leave little room to write.
    sources = [f"{SENTENCES[n % 5]} {' bird' * (n % 8)}" for n in range(40)]
    port = free_port()
    argv = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "--model-uri", str(model)]
    argv += ["--host", HOST, "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # rounding as here
    environment.pop("PYTHONPATH", None)  # the model has its own goa
    address = f"http://{HOST}:{port}"
    with answering([sys.executable, *argv], f"{address}/ping", tmp_path / "log", environment):
        for params, strategy in ASKED:
            code, answer = post(f"{address}/invocations", sources, params)
            assert (code, answer) == (200, {"predictions": written(tmp_path, sources, strategy)})
        for params, said in ({"num_beam": 2}, "num_beam"), ({"num_beams": 1}, "equal to 2"):
            code, answer = post(f"{address}/invocations", sources, params)
            assert code == 400
            assert said in answer["message"]


ASKED: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {"kind": "beam"}),
    ({"strategy": "greedy"}, {"kind": "greedy"}),
    ({"strategy": "greedy", "max_tokens": 5}, {"kind": "greedy", "max_tokens": 5}),
    (
        {"num_beams": 2, "length_penalty": 0.5, "max_tokens": 20},
        {"kind": "beam", "num_beams": 2, "length_penalty": 0.5, "max_tokens": 20},
    ),
]
"""Parameters of a request, and what `goa generate` is told for the same."""


def post(address: str, sources: list[str], params: dict[str, object]) -> tuple[int, Any]:
    body = json.dumps({"inputs": sources, "params": params}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def written(folder: Path, sources: list[str], strategy: dict[str, object]) -> list[str]:
    """Have `goa generate` write."""
    (folder / "sources.txt").write_text("".join(f"{source}\n" for source in sources))
    files = ["--input", folder / "sources.txt", "--output", folder / "texts.jsonl"]
    options = ["--policy", folder / "policy", "--strategy", json.dumps(strategy), *files]
    done = CliRunner().invoke(app, ["generate", *map(str, options)])
    assert done.exit_code == 0, done.output
    lines = (folder / "texts.jsonl").read_text().splitlines()
    return [json.loads(line)["candidate"] for line in lines]


def _imports(path: Path) -> Iterator[str]:
    """Name the packages that a file imports as it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
