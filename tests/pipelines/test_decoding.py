"""Decoding by every strategy."""

from collections.abc import Callable

import pytest
import torch

from goa.decoding.settings import (
    BeamSettings,
    BestOfSettings,
    DecodingSettings,
    MbrSettings,
    SampleSettings,
)
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import Evaluator
from goa.evaluators.length import LengthSettings
from goa.evaluators.table import build_evaluator
from goa.policies.policy import Policy
from goa.records import Example, Sample
from pipelines.decoding import decode, write
from tests.conftest import SENTENCES

EXAMPLES = [
    Example(id=str(place), source=source, references=("wanted",))
    for place, source in enumerate([*SENTENCES, "red", ""])
]
JUDGES: dict[str, Evaluator] = {
    "chrf": build_evaluator("chrf", ChrfSettings()),
    "length": build_evaluator("length", LengthSettings(against="source")),
}
# Tiny: prompts leave less than 128 tokens' room, and each another one.
BEST = BestOfSettings(kind="best_of", evaluator="length", num_candidates=6)
MBR = MbrSettings(kind="mbr", evaluator="chrf", num_candidates=6)


@pytest.mark.parametrize("architecture", ["marian", "llama"])
@pytest.mark.parametrize("strategy", [BEST, MBR, MBR.drawn], ids=str)
def test_the_size_of_a_batch_changes_no_output(
    make_policy: Callable[..., Policy], architecture: str, strategy: DecodingSettings
) -> None:
    policy = make_policy(architecture)
    together = decode(policy, EXAMPLES, strategy, 7, JUDGES)
    alone = [text for each in EXAMPLES for text in decode(policy, [each], strategy, 7, JUDGES)]
    assert together == alone


def test_the_best_of_a_sample_is_what_the_evaluator_likes_best(policy: Policy) -> None:
    written, chosen = write(policy, EXAMPLES, BEST, 7, JUDGES)
    drawn, first = write(policy, EXAMPLES, BEST.drawn, 7)
    assert written.texts == drawn.texts
    assert torch.equal(written.log_probs, drawn.log_probs)
    assert first == [0] * len(EXAMPLES)
    for example, row, place in zip(EXAMPLES, written.texts, chosen, strict=True):
        samples = [Sample(example=example, candidate=text) for text in row]
        scores = JUDGES["length"].score(samples).values
        assert place == scores.index(max(scores))  # type: ignore[type-var]
    assert len(set(chosen)) > 1


def test_the_best_of_a_beam_is_what_the_evaluator_likes_best(policy: Policy) -> None:
    beam = BeamSettings(kind="beam", num_beams=4, num_candidates=4, max_tokens=9)
    strategy = BestOfSettings(kind="best_of", evaluator="length", write=beam)
    written, chosen = write(policy, EXAMPLES, strategy, 7, JUDGES)
    assert written.texts == write(policy, EXAMPLES, beam, 7)[0].texts
    for example, row, place in zip(EXAMPLES, written.texts, chosen, strict=True):
        samples = [Sample(example=example, candidate=text) for text in row]
        scores = JUDGES["length"].score(samples).values
        assert place == scores.index(max(scores))  # type: ignore[type-var]
    assert len(set(chosen)) > 1


def test_minimum_bayes_risk_looks_at_no_reference(policy: Policy) -> None:
    others = [Example(id=e.id, source=e.source, references=("else",)) for e in EXAMPLES]
    found = decode(policy, EXAMPLES, MBR, 7, JUDGES)
    assert decode(policy, others, MBR, 7, JUDGES) == found
    assert found != decode(policy, EXAMPLES, MBR.drawn, 7)


def test_the_best_of_a_beam_and_the_first_of_a_sample_are_given(policy: Policy) -> None:
    strategies = [
        SampleSettings(kind="sample", num_candidates=3),
        BeamSettings(kind="beam", num_beams=3, num_candidates=3),
    ]
    for strategy in strategies:
        written, chosen = write(policy, EXAMPLES, strategy, 7)
        assert chosen == [0] * len(EXAMPLES)
        assert decode(policy, EXAMPLES, strategy, 7) == [row[0] for row in written.texts]
