"""A saved policy has a model card, whose lines do what they say."""

import json
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from goa.arms import CONTROLLED, CONTROLS, Control, parse_policy
from goa.data.preparation import prepare_corpus
from goa.data.settings import DataSettings
from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.storage import save_policy
from goa.settings import validate
from pipelines.cli import app
from pipelines.origin import Origin
from pipelines.policy_card import write_card
from pipelines.usage import SOURCE

CHAT = "{% for each in messages %} {{ each.content }}{% endfor %}"
SHORT = "the red bird"
"""What tiny policies have room for."""
PARAMS: dict[str, Any] = {
    "seed": 17,
    "policy.kind": "scratch",
    "pretrain.epochs": 3,
    "pretrain.optimiser.betas": [0.9, 0.98],
}
MLE = Origin(
    made_of={
        "command": "python -m pipelines.pretrain",
        **{name: json.dumps(value) for name, value in PARAMS.items()},
        "goa/policies": "sha256:aaaa",
        "out/data": "sha256:bbbb",
    },
    measured={"validation_loss": 2.5086514949798584, "best_update": 52, "updates": 60},
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project with prepared data."""
    monkeypatch.chdir(tmp_path)
    content = {
        "path": str(tmp_path / "secrets/places"),
        "languages": ["en"],
        "corpus": {"kind": "demo", "num_examples": 60},
        "splits": {"validation": 0.2, "test": 0.2},
        "cleaning": {"lowercase": True},
    }
    settings = validate(DataSettings, content, "data")
    Path("out").mkdir()
    prepare_corpus(settings, 17, Path("out/data"), lambda: None)
    return tmp_path


def finetuned(name: str, **changes: str) -> Origin:
    """Say how a policy was fine-tuned."""
    made_of = {"finetune.objective.kind": '"reinforce"', "out/policies/mle": "sha256:cccc"}
    return Origin(
        made_of=made_of | changes,
        measured={"validation_reward": 0.41, "validation_reward_before": 0.38},
        trained=parse_policy(name),
        signature="bleu|tok:13a",
    )


def save(policy: Policy, origin: Origin) -> str:
    """Save a policy with its card, and read the card."""
    folder = Path("out/policies", origin.name)
    save_policy(policy, folder)
    write_card(folder, policy, origin)
    return (folder / "README.md").read_text(encoding="utf-8")


def block(card: str, language: str) -> str:
    """Find the card's only block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    return str(found)


def test_its_header_is_one_that_hugging_face_reads(policy: Policy) -> None:
    data = ModelCard(save(policy, MLE)).data.to_dict()
    assert data == {
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "datasets": ["places"],
        "tags": ["goa", "marian", "maximum-likelihood"],
    }


def test_its_numbers_are_those_of_the_run(policy: Policy, project: Path) -> None:
    card = save(policy, MLE)
    for name, value in MLE.measured.items():
        assert f"\n| {name} | {value} |\n" in card
    for name, split in json.loads((project / "out/data/report.json").read_text()).items():
        if name in ("train", "validation", "test"):
            assert f"\n| {name} | {split['kept']:,} |" in card
    assert f"{sum(each.numel() for each in policy.model.parameters()):,} weights" in card
    assert yaml.safe_load(block(card, "yaml")) == PARAMS
    assert "| `out/data` | `sha256:bbbb` |" in card
    assert "sha256:aaaa" not in card


def test_equal_runs_have_equal_cards(policy: Policy) -> None:
    assert save(policy, MLE) == save(policy, MLE)


def test_it_says_how_sources_are_to_be_written(policy: Policy) -> None:
    assert "Sources are to be lower-cased" in save(policy, MLE)


def test_a_fine_tuned_policy_tells_what_came_before_it(policy: Policy) -> None:
    before = save(policy, MLE)
    card = save(policy, finetuned("bleu-18"))
    pretraining = re.search(r"^## Pretraining\n.*?(?=^## )", before, re.MULTILINE | re.DOTALL)
    assert pretraining is not None
    assert pretraining[0] in card
    assert "\n| validation_reward | 0.41 |\n" in card
    assert "fine-tuned from `mle` on the score that `bleu` gives whole outputs, seed 18" in card
    assert "`bleu|tok:13a`" in card
    assert "`metrics/evaluate/bleu-18.json`" in card
    tags = ModelCard(card).data.tags
    assert tags == ["goa", "marian", "evaluator:bleu", "objective:reinforce"]


def test_it_names_the_objective_of_each_phase(policy: Policy) -> None:
    phases = json.dumps([{"objective": {"kind": "mixer"}}, {"rounds": 3}])
    card = save(policy, finetuned("bleu-17", **{"finetune.phases": phases}))
    assert "the objective (mixer, then reinforce) moved" in card
    assert ModelCard(card).data.tags[-2:] == ["objective:mixer", "objective:reinforce"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_says_that_it_is_none_to_use(policy: Policy, control: Control) -> None:
    card = save(policy, finetuned(f"bleu-{control}-17"))
    assert f"a control beside `bleu-17`: {CONTROLLED[control]}" in card
    assert "is not meant to be used" in card
    assert f"control:{control}" in ModelCard(card).data.tags
    assert "scored each whole candidate" not in card


@pytest.mark.parametrize(
    "value",
    [
        "/home/somebody/models/large",
        ["/home/somebody/models/large", "x"],
        {"inner": "file:///home/somebody/large"},
        "https://somebody:password@example.org/large",
    ],
)
def test_it_names_neither_folders_of_the_machine_nor_who_logs_in(
    policy: Policy, project: Path, value: object
) -> None:
    changes = {"evaluators.own.model": json.dumps(value)}
    card = save(policy, finetuned("bleu-17", **changes))
    assert "somebody" not in card
    assert "password" not in card
    assert "large" in card
    assert str(project) not in card


def test_a_signature_is_shown_without_folders_of_the_machine(policy: Policy) -> None:
    told = finetuned("bleu-17")
    signature = "bertscore|model:/home/somebody/models/large|layer:3|a/b"
    card = save(policy, Origin(**{**_fields(told), "signature": signature}))
    assert "`bertscore|model:large|layer:3|a/b`" in card


@pytest.mark.parametrize(
    ("name", "known"), [("Helsinki-NLP/opus-mt-de-en", True), ("/home/somebody/opus", False)]
)
def test_a_model_of_a_hub_is_named_as_what_it_was_made_from(
    policy: Policy, name: str, known: bool
) -> None:
    made_of = {**MLE.made_of, "policy.name": json.dumps(name)}
    save(policy, Origin(**{**_fields(MLE), "made_of": made_of}))
    card = save(policy, finetuned("bleu-17"))
    assert ModelCard(card).data.get("base_model") == (name if known else None)


def _model(make_policy: Callable[..., Policy], kind: str) -> Policy:
    policy = make_policy("llama" if kind in ("prompt", "chat") else "marian")
    if isinstance(policy, DecoderOnly):
        # Its prompt ends with the end token, which weights that know nothing would say again.
        with torch.no_grad():
            said = policy.model.get_output_embeddings().weight
            said[policy.end_id] = said[policy.pad_id] = 0.0
    if kind == "chat":
        policy.tokenizer.chat_template = CHAT
        policy.prompt = PromptSettings(template="a {source}", chat=True, system='a "b"\nc')
    return policy


def _run(program: str, capsys: pytest.CaptureFixture[str]) -> str:
    path = Path("program.py")
    assert SOURCE in program
    path.write_text(program.replace(SOURCE, SHORT), encoding="utf-8")
    runpy.run_path(str(path))
    return capsys.readouterr().out.removesuffix("\n")


def _ask_goa(command: str) -> str:
    words = shlex.split(command)
    assert words[0] == "goa"
    assert words[-4:] == ["<", "sources.txt", ">", "texts.txt"]
    done = CliRunner().invoke(app, words[1:-4], input=f"{SHORT}\n")
    assert done.exit_code == 0, done.output
    return done.stdout.removesuffix("\n")


@pytest.mark.parametrize("kind", ["marian", "prompt", "chat"])
def test_its_program_and_its_command_write_the_same_text(
    make_policy: Callable[..., Policy], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    card = save(_model(make_policy, kind), MLE)
    theirs = _run(block(card, "python"), capsys)
    assert theirs
    assert _ask_goa(block(card, "sh")) == theirs


def test_an_adapter_alone_is_loaded_into_the_policy_that_it_was_made_from(
    policy: Policy, make_policy: Callable[..., Policy], capsys: pytest.CaptureFixture[str]
) -> None:
    save(policy, MLE)
    adapted = make_policy()
    adapted.model.config._name_or_path = "out/policies/mle"
    adapted.model.name_or_path = "out/policies/mle"
    add_adapter(adapted, AdapterSettings(rank=2), seed=1)
    card = save(adapted, finetuned("bleu-17"))
    assert ModelCard(card).data.library_name == "peft"
    theirs = _run(block(card, "python"), capsys)
    assert theirs
    assert _ask_goa(block(card, "sh")) == theirs


def _fields(origin: Origin) -> dict[str, Any]:
    return {name: getattr(origin, name) for name in Origin.__slots__}
