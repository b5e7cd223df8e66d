"""Diverse beams, against a search that says it all in plain Python."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from pydantic import ValidationError

from goa.decoding.beam import beam_search
from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, DiverseBeamSettings
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from tests.conftest import SENTENCES
from tests.goa.decoding.chain import Chain

Found = list[tuple[float, tuple[int, ...]]]
MAX_TOKENS = 6


def plainly(chain: Chain, settings: DiverseBeamSettings) -> list[tuple[int, ...]]:
    """Search as the paper says, candidate by candidate."""
    count = settings.num_beams // settings.num_groups
    running: list[Found] = [[(0.0, ())] for _ in range(settings.num_groups)]
    ended: list[Found] = [[] for _ in range(settings.num_groups)]
    for length in range(1, MAX_TOKENS + 1):
        steps = chain.steps(length - 1)
        said: Counter[int] = Counter()
        for group in range(settings.num_groups):
            longer = [
                (score + log_prob - settings.diversity * said[token], (*before, token))
                for score, before in running[group]
                for token, log_prob in enumerate(steps[before[-1] if before else -1])
            ]
            longer = sorted(longer, reverse=True)[: 2 * count]
            at_end = length == MAX_TOKENS
            ended[group] += [
                (score / length**settings.length_penalty, tokens)
                for score, tokens in longer[:count]
                if at_end or tokens[-1] == chain.end_id
            ]
            ended[group] = sorted(ended[group], reverse=True)[:count]
            going = [each for each in longer if each[1][-1] != chain.end_id][:count]
            said.update(tokens[-1] for _, tokens in going)
            running[group] = going
            full = len(ended[group]) == count
            best = going[0][0] / length**settings.length_penalty if going else -math.inf
            if full and best <= ended[group][-1][0]:
                running[group] = []
    ranks = [sorted(rank, reverse=True) for rank in zip(*ended, strict=True)]
    return [tokens for rank in ranks for _, tokens in rank]


def found(chain: Chain, settings: Any) -> list[tuple[int, ...]]:
    """Search for one source."""
    ids = torch.zeros(1, 1, dtype=torch.long)
    sources = Tokens(ids=ids, mask=ids == 0)
    written = beam_search(cast(Policy, chain), sources, settings, torch.tensor([MAX_TOKENS]), None)
    lengths = written.mask.sum(dim=1).tolist()
    rows = zip(written.tokens.tolist(), lengths, strict=True)
    return [tuple(row[:length]) for row, length in rows]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("num_beams", "num_groups"), [(4, 4), (6, 2), (6, 3)])
def test_groups_are_those_of_a_plain_search(seed: int, num_beams: int, num_groups: int) -> None:
    random = torch.Generator().manual_seed(seed)
    chain = Chain(1.5 * torch.randn(8, 7, generator=random))
    settings = DiverseBeamSettings(
        kind="diverse_beam",
        num_beams=num_beams,
        num_groups=num_groups,
        num_candidates=num_beams,
        diversity=0.7,
        length_penalty=0.8,
    )
    assert found(chain, settings) == plainly(chain, settings)


def test_without_diversity_every_group_is_a_beam_of_its_size() -> None:
    chain = Chain(1.5 * torch.randn(8, 7, generator=torch.Generator().manual_seed(1)))
    diverse = DiverseBeamSettings(
        kind="diverse_beam", num_beams=6, num_groups=2, num_candidates=6, diversity=0.0
    )
    one = found(chain, BeamSettings(kind="beam", num_beams=3, num_candidates=3))
    assert found(chain, diverse) == [each for each in one for _ in range(2)]


@pytest.mark.parametrize("architecture", ["marian", "t5", "llama"])
def test_groups_of_much_diversity_begin_each_otherwise_in_any_batch(
    ending_policy: Callable[[str], Policy], architecture: str
) -> None:
    policy = ending_policy(architecture)
    strategy = DiverseBeamSettings(kind="diverse_beam", diversity=50.0, min_tokens=1, max_tokens=9)
    sources = policy.tokenize_sources(SENTENCES)
    together = generate(policy, sources, strategy, 0, SENTENCES)
    for place, text in enumerate(SENTENCES):
        assert len(set(together.tokens[place, :, 0].tolist())) == 4
        alone = generate(policy, policy.tokenize_sources([text]), strategy, 0, [text])
        assert alone.texts[0] == together.texts[place]


def test_beams_that_cannot_be_divided_among_groups_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"num_beams \(5\) is no multiple of num_groups"):
        DiverseBeamSettings(kind="diverse_beam", num_beams=5, num_groups=2)
