"""Draws without replacement are what enumeration says."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import permutations
from typing import Any, cast

import pytest
import torch

from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import StochasticBeamSettings
from goa.decoding.stochastic_beam import Randomness, stochastic_beam_search
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from tests.conftest import SENTENCES
from tests.goa.decoding.chain import Chain

CHAIN = Chain(torch.tensor([[0.2, 0.5, -0.4], [9.0, 9.0, 9.0], [0.1, -0.3, 0.6], [0.0, -0.5, 0.7]]))
NUM_DRAWS = 20_000


def draw(
    num_candidates: int, max_tokens: int, num_draws: int = NUM_DRAWS, **settings: Any
) -> list[list[tuple[int, ...]]]:
    """Draw candidates of the chain for many sources."""
    strategy = StochasticBeamSettings(
        kind="stochastic_beam", num_candidates=num_candidates, max_tokens=max_tokens, **settings
    )
    ids = torch.zeros(num_draws, 1, dtype=torch.long)
    found = stochastic_beam_search(
        cast(Policy, CHAIN),
        Tokens(ids=ids, mask=ids == 0),
        strategy,
        torch.full((num_draws,), max_tokens),
        None,
        Randomness(seed=5, keys=[str(number) for number in range(num_draws)]),
    )
    lengths = found.mask.sum(dim=1).tolist()
    rows = zip(found.tokens.tolist(), lengths, strict=True)
    flat = [tuple(row[:length]) for row, length in rows]
    return [flat[at : at + num_candidates] for at in range(0, len(flat), num_candidates)]


def fits(observed: Counter[Any], expected: dict[Any, float]) -> bool:
    """Say whether counts are below the 99.9th percentile of chi-square (Wilson and Hilferty)."""
    assert observed.keys() <= expected.keys()
    statistic = sum(
        (observed[each] - NUM_DRAWS * prob) ** 2 / (NUM_DRAWS * prob)
        for each, prob in expected.items()
    )
    spread = 2 / (9 * (len(expected) - 1))
    return statistic < (len(expected) - 1) * (1 - spread + 3.09 * math.sqrt(spread)) ** 3


def without_replacement(
    log_probs: dict[tuple[int, ...], float], count: int
) -> dict[tuple[tuple[int, ...], ...], float]:
    """Give the probability of every order in which so many candidates can be drawn."""
    found = {}
    for drawn in permutations(log_probs, count):
        prob, left = 1.0, 1.0
        for each in drawn:
            prob *= math.exp(log_probs[each]) / left
            left -= math.exp(log_probs[each])
        found[drawn] = prob
    return found


def test_the_first_is_a_draw_from_the_policy() -> None:
    expected = {said: math.exp(found) for said, found in CHAIN.log_probs(3).items()}
    assert len(expected) == 15
    assert sum(expected.values()) == pytest.approx(1.0)
    assert fits(Counter(row[0] for row in draw(4, 3)), expected)


@pytest.mark.parametrize(("num_candidates", "max_tokens"), [(2, 3), (3, 2)])
def test_candidates_come_in_every_order_as_often_as_without_replacement(
    num_candidates: int, max_tokens: int
) -> None:
    expected = without_replacement(CHAIN.log_probs(max_tokens), num_candidates)
    assert len(expected) == 210
    assert fits(Counter(map(tuple, draw(num_candidates, max_tokens))), expected)


def test_a_temperature_sharpens_what_is_drawn_from() -> None:
    sharp = Chain(CHAIN.logits / 0.5).log_probs(2)
    found = Counter(map(tuple, draw(2, 2, temperature=0.5)))
    assert fits(found, without_replacement(sharp, 2))
    assert not fits(found, without_replacement(CHAIN.log_probs(2), 2))


def test_no_candidate_comes_twice_and_all_come_where_all_are_asked_for() -> None:
    for row in draw(7, 2, 500):
        assert sorted(row) == sorted(CHAIN.log_probs(2))


def test_where_there_are_too_few_the_first_is_given_again() -> None:
    for row in draw(9, 2, 500):
        assert sorted(row[:7]) == sorted(CHAIN.log_probs(2))
        assert row[7:] == [row[0]] * 2


def write(policy: Policy, texts: list[str], seed: int) -> Candidates:
    """Draw for texts that are their own keys."""
    strategy = StochasticBeamSettings(kind="stochastic_beam", num_candidates=4)
    return generate(policy, policy.tokenize_sources(texts), strategy, seed, texts)


@pytest.mark.parametrize("architecture", ["marian", "t5", "llama"])
def test_a_source_gets_the_same_draws_in_any_batch_each_another(
    ending_policy: Callable[[str], Policy], architecture: str
) -> None:
    policy = ending_policy(architecture)
    together = write(policy, SENTENCES, 1)
    for place, text in enumerate(SENTENCES):
        assert write(policy, [text], 1).texts[0] == together.texts[place]
        width = int(together.mask[place].sum(dim=-1).max())
        rows = {tuple(row) for row in together.tokens[place, :, :width].tolist()}
        assert len(rows) == 4
    assert write(policy, SENTENCES, 2).texts != together.texts
