"""The test split written and scored afresh, and what it is known by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.config import check
from goa.data.corpus import split_path
from goa.decoding.settings import BestOfSettings, MbrSettings
from goa.errors import EvaluatorError
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import pair_samples
from goa.evaluators.discriminator import EnergySettings
from goa.evaluators.length import LengthSettings
from goa.evaluators.table import build_evaluator
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.records import Example
from pipelines.decoding import decode
from pipelines.retest import Retest, digest_of
from tests.conftest import SENTENCES, write_corpus

PARAMS = Path(__file__).parents[2] / "params.yaml"

EXAMPLES = (
    Example(id="1", source="rot", references=("red",)),
    Example(id="2", source="Hund", references=("dog", "hound")),
)


def test_equal_examples_have_equal_digests() -> None:
    assert digest_of(EXAMPLES) == digest_of(list(EXAMPLES))


@pytest.mark.parametrize(
    "others",
    [
        EXAMPLES[::-1],
        EXAMPLES[:1],
        (EXAMPLES[0], Example(id="2", source="Hund", references=("dog",))),
        (EXAMPLES[0], Example(id="2", source="Hund", references=("hound", "dog"))),
        (EXAMPLES[0], Example(id="2", source="Hunde", references=("dog", "hound"))),
        (EXAMPLES[0], Example(id="3", source="Hund", references=("dog", "hound"))),
        (EXAMPLES[0], Example(id="2", source="Hund", references=("do", "ghound"))),
    ],
)
def test_whatever_changes_in_a_test_set_changes_its_digest(others: tuple[Example, ...]) -> None:
    assert digest_of(others) != digest_of(EXAMPLES)


def test_a_text_that_is_no_unicode_has_a_digest() -> None:
    assert digest_of([Example(id="1", source="\ud800", references=("",))])


SPLITS = {
    name: [
        Example(id=f"{name}-{place}", source=source, references=("the dog",))
        for place, source in enumerate(sentences)
    ]
    for name, sentences in {"test": SENTENCES, "validation": SENTENCES[:2]}.items()
}
DRAWN = {"num_candidates": 6, "max_tokens": 8}
STRATEGIES = {
    "greedy": {"kind": "greedy", "max_tokens": 8},
    "best": {"kind": "best_of", "evaluator": "length", **DRAWN},
    "mbr": {"kind": "mbr", "evaluator": "chrf", **DRAWN},
    "energetic": {"kind": "best_of", "evaluator": "energy", **DRAWN},
}
ENERGY = {"kind": "energy", "epochs": 1}


@pytest.fixture
def retest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy
) -> Callable[..., Retest]:
    """Stand in a project with a policy; gives what makes a retest there."""
    monkeypatch.chdir(tmp_path)
    save_policy(policy, Path("policy"))
    Path("out/data").mkdir(parents=True)
    for name, examples in SPLITS.items():
        write_corpus(split_path(Path("out/data"), name), examples)
    content = yaml.safe_load(PARAMS.read_text())
    content["seed"] = 7
    content["promotion"] = {}
    content["compute"] = {"device": "cpu"}
    content["evaluators"] = {"length": {"kind": "length", "against": "source"}, "energy": ENERGY}
    content["controls"] = {"evaluators": [], "arms": []}
    content["generate"] = {"strategies": {"sample": {"kind": "sample"}}}
    metrics = {"rouge": {"kind": "rouge"}, "chrf": {"kind": "chrf"}}

    def make(strategy: str, *measures: str, **settings: Any) -> Retest:
        evaluate = {"strategies": STRATEGIES, "metrics": metrics, **settings}
        Path("params.yaml").write_text(yaml.safe_dump({**content, "evaluate": evaluate}))
        return Retest(check(Path("params.yaml")), strategy, measures)

    return make


def test_what_the_evaluator_chooses_is_measured(
    retest: Callable[..., Retest], policy: Policy
) -> None:
    judge = build_evaluator("length", LengthSettings(against="source"))
    best = BestOfSettings(**STRATEGIES["best"])
    found = retest("best", "rouge")(Path("policy"), "mine")
    assert found.policy == "mine"
    assert found.examples == tuple(SPLITS["test"])
    texts = decode(policy, SPLITS["test"], best, 7, {"length": judge})
    assert list(found.outputs["best"]) == texts
    assert texts != decode(policy, SPLITS["test"], best.drawn, 7)
    # Who chooses is not measured by that.
    assert set(found.metrics) == {"rouge"}
    assert {name.partition(".")[0] for name in found.evaluations["best"].measurements} == {"rouge"}


def test_a_metric_chooses_too_and_may_be_measured(
    retest: Callable[..., Retest], policy: Policy
) -> None:
    found = retest("mbr", "chrf", "rouge")(Path("policy"), "mine")
    judge = build_evaluator("chrf", ChrfSettings())
    mbr = MbrSettings(**STRATEGIES["mbr"])
    texts = decode(policy, SPLITS["test"], mbr, 7, {"chrf": judge})
    assert list(found.outputs["mbr"]) == texts
    assert list(found.metrics) == ["chrf", "rouge"]


def test_an_evaluator_that_learns_chooses_by_what_it_learnt(
    retest: Callable[..., Retest], policy: Policy
) -> None:
    energy = build_evaluator("energy", EnergySettings(**ENERGY))
    (learner,) = energy.learners()
    with pytest.raises(EvaluatorError, match="energy"):
        retest("energetic", "rouge")
    learner.learn(pair_samples(SPLITS["test"], ["dog"] * 5), 1, anew=True)
    Path("out/evaluators/energy").mkdir(parents=True)
    learner.save(Path("out/evaluators/energy"))
    found = retest("energetic", "rouge")(Path("policy"), "mine")
    best = BestOfSettings(**STRATEGIES["energetic"])
    assert list(found.outputs["energetic"]) == decode(
        policy, SPLITS["test"], best, 7, {"energy": energy}
    )


@pytest.mark.parametrize("strategy", ["greedy", "mbr"])
def test_the_size_of_a_batch_changes_nothing(retest: Callable[..., Retest], strategy: str) -> None:
    one, all_at_once = (
        retest(strategy, "rouge", sources_per_batch=size)(Path("policy"), "mine").outputs
        for size in (2, 100)
    )
    assert one == all_at_once
    assert len(one[strategy]) == len(SENTENCES)
