"""A technique that is left out is not used, and the outcome is the same without it."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch

from benchmarks import switches
from benchmarks.parts import PARTS, Outcome, Step, World
from benchmarks.techniques import AS_IT_IS, compared, done, holds, row_of, sides_of
from goa.decoding.generation import generate_in_batches
from goa.policies.policy import Policy
from goa.records import Example
from tests.conftest import SENTENCES

LENGTHS = [2, 7, 1, 4]
EXAMPLES = [
    Example(id=str(length), source=" ".join(SENTENCES[0].split()[:length]), references=(text,))
    for length, text in zip(LENGTHS, SENTENCES, strict=False)
]
CALLED = {
    ("draw", "steps from the weights, sources shared"): "Stepper.advance",
    ("draw", "ended rows leave the batch"): "Stepper.select",
    ("draw", "first tokens' cache token by token"): "_ByToken.attend",
    ("draw", "draws block by block"): "Mass.find",
    ("draw", "draws block by block, against torch.multinomial"): "Mass.find",
    ("draw", "bfloat16, which is not the default"): "autocast.__enter__",
    ("beam", "steps from the weights, sources shared"): "Stepper.advance",
    ("beam", "rows that stay are not moved"): "move",
    ("update", "a source computed once, tokens that count alone"): "Forcing.states",
    ("update", "distributions a few rows at a time"): "project",
    ("update", "bfloat16, which is not the default"): "autocast.__enter__",
    ("update, temperature 0.5", "candidates alike computed once"): "first_alike",
    ("update, 2048 tokens a pass", "sources alike in length together"): "Rollout.by_length",
    ("Llama, draw", "steps from the weights, prompts shared"): "PromptStepper.advance",
    ("Llama, update", "a prompt read once for its candidates"): "forced_states",
}
"""What is called more often with a technique, by part and technique."""
IN_BATCHES = ("draw, 8 batches", "sources alike in length together")


@pytest.fixture
def world(make_policy: Callable[..., Policy]) -> World:
    policy = make_policy()
    policy.model.final_logits_bias[0, policy.end_id] = 2.0  # so that candidates end, some alike
    return World(
        policy=policy,
        make_llama=lambda: make_policy("llama"),
        examples=EXAMPLES,
        candidates=6,
        max_tokens=8,
        llama_tokens=4,
        beam=3,
    )


def calls(work: Callable[[int], Any]) -> Counter[str]:
    """Count the functions that the work calls."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found[frame.f_code.co_qualname] += 1

    sys.setprofile(note)
    try:
        work(1)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(("part", "technique"), CALLED)
def test_what_a_technique_is_made_of_is_called_less_without_it(
    world: World, part: str, technique: str
) -> None:
    made = PARTS[part](world)
    (is_on,) = (each.is_on for each in made.techniques if each.name == technique)
    sides = sides_of(made, {})
    on, off = (calls(sides[name].work) for name in (AS_IT_IS, technique))
    if not is_on:
        on, off = off, on
    name = CALLED[part, technique]
    assert on[name] > off[name]


@pytest.mark.parametrize("name", PARTS)
def test_each_part_has_a_row_for_each_technique_and_gives_the_same_without_it(
    world: World, name: str
) -> None:
    part = PARTS[name](world)
    runs, kept = done(part, repeats=1)
    memory = {each.name: 2.0 for each in part.techniques} | {AS_IT_IS: 1.0}
    rows = [row_of(name, technique, runs, kept, memory) for technique in part.techniques]
    assert {(name, row["technique"]) for row in rows} == {
        each for each in (*CALLED, IN_BATCHES) if each[0] == name
    }
    for row, technique in zip(rows, part.techniques, strict=True):
        assert row["holds"]
        assert row["mib"] == ({"on": 1.0, "off": 2.0} if technique.memory else None)
        usual, other = runs[AS_IT_IS][0]["seconds"], runs[technique.name][0]["seconds"]
        expected = (usual, other) if technique.is_on else (other, usual)
        assert (row["seconds"]["on"], row["seconds"]["off"]) == expected


def test_weights_are_as_before_once_a_part_is_done(world: World) -> None:
    before = {name: weight.detach().clone() for name, weight in world.policy.trained().items()}
    part = PARTS["update"](world)
    part.work(1)
    assert any((w != before[name]).any() for name, w in world.policy.trained().items())
    done(part, repeats=1)
    for name, weight in world.policy.trained().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


def test_batches_as_given_are_as_large_and_in_the_order_of_the_sources(world: World) -> None:
    sources = world.policy.tokenize_sources([example.source for example in EXAMPLES])
    world.policy.tokens_at_once = 1

    def written() -> list[int]:
        batches = generate_in_batches(
            world.policy, sources, world.sampling(3), 1, [example.id for example in EXAMPLES]
        )
        return [row for rows, _ in batches for row in rows.tolist()]

    assert written() == [1, 3, 0, 2]
    with switches.batches_as_given():
        assert written() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([[3], [4]], True),
        ([[3], [5]], False),
    ],
)
def test_candidates_are_compared_token_by_token(other: Outcome, same: bool) -> None:
    found = compared([[3], [4]], other)
    assert found == {"alike": 1.0 if same else 0.5}
    assert holds(found) == same


@pytest.mark.parametrize(
    ("other", "apart"),
    [(Step(0.5, 4.0), 0.0), (Step(0.25, 4.0), 0.25), (Step(0.5, 6.0), 0.5)],
)
def test_steps_are_compared_by_loss_and_by_the_norm_of_the_gradient(
    other: Step, apart: float
) -> None:
    found = compared(Step(0.5, 4.0), other)
    assert found == {"apart": apart}
    assert holds(found) == (apart == 0.0)
