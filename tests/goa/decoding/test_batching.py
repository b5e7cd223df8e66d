"""Sources in batches, and memory that runs out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from goa.decoding import batching
from goa.decoding.batching import ON_A_GPU, _capacity, in_batches
from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import (
    BeamSettings,
    GreedySettings,
    SampleSettings,
    StochasticBeamSettings,
    StrategySettings,
)
from goa.errors import PolicyError
from goa.policies.policy import Policy
from tests.conftest import SENTENCES

NEEDS = torch.tensor([3, 9, 4, 8, 1])
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


def _rows(candidates: Candidates, place: int) -> tuple[Tensor, Tensor]:
    return candidates.tokens[place], candidates.mask[place]


def rows_of(policy: Policy, write: Callable[[Tensor], object] = len) -> list[list[int]]:
    return [rows.tolist() for rows, _ in in_batches(policy, NEEDS, write)]


def test_a_batch_holds_what_fits_where_all_need_as_much_as_the_neediest(policy: Policy) -> None:
    policy.tokens_at_once = 18
    assert rows_of(policy) == [[1, 3], [2, 0, 4]]
    policy.tokens_at_once = 8
    assert rows_of(policy) == [[1], [3], [2, 0], [4]]


def test_as_much_is_held_as_memory_has_room_for(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_per_token = 2 * 2 * 16 * 4  # keys and values, layers, width, float32
    monkeypatch.setattr(batching, "ON_A_CPU", 18 * bytes_per_token)
    assert rows_of(policy) == [[1, 3], [2, 0, 4]]
    assert policy.tokens_at_once == 18


@pytest.mark.parametrize("error", [RuntimeError(NO_MEMORY), torch.OutOfMemoryError("none left")])
def test_where_memory_runs_out_batches_are_halved_and_nothing_is_lost(
    policy: Policy, error: Exception
) -> None:
    policy.tokens_at_once = 45
    tried: list[int] = []

    def write(rows: Tensor) -> list[int]:
        tried.append(len(rows))
        if len(rows) * int(NEEDS[rows].max()) > 20:
            raise error
        return rows.tolist()

    with pytest.warns(UserWarning, match="not enough memory on cpu to write for 5 sources"):
        found = [written for _, written in in_batches(policy, NEEDS, write)]
    assert found == [[1, 3], [2, 0, 4]]
    assert tried == [5, 2, 3]
    assert policy.tokens_at_once == 22


def test_what_torch_says_here_of_too_little_memory_is_understood(policy: Policy) -> None:
    policy.tokens_at_once = 45
    tried: list[int] = []

    def write(rows: Tensor) -> list[int]:
        tried.append(len(rows))
        if len(tried) == 1:
            torch.empty(10**15)
        return rows.tolist()

    with pytest.warns(UserWarning, match="not enough memory on cpu"):
        list(in_batches(policy, NEEDS, write))
    assert tried == [5, 2, 3]


def test_a_source_that_memory_does_not_hold_is_an_error(policy: Policy) -> None:
    def write(rows: Tensor) -> None:
        raise RuntimeError(NO_MEMORY)

    policy.tokens_at_once = 1
    with pytest.raises(PolicyError, match="not enough memory on cpu to write the 9 tokens"):
        rows_of(policy, write)


def test_other_errors_are_no_lack_of_memory(policy: Policy) -> None:
    def write(rows: Tensor) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        rows_of(policy, write)


@pytest.mark.parametrize("architecture", ["marian", "llama"])
@pytest.mark.parametrize(
    "strategy",
    [
        GreedySettings(kind="greedy", max_tokens=9),
        SampleSettings(kind="sample", num_candidates=3, max_tokens=9),
        BeamSettings(kind="beam", num_beams=3, num_candidates=2, max_tokens=9),
        StochasticBeamSettings(kind="stochastic_beam", num_candidates=3, max_tokens=9),
    ],
    ids=lambda strategy: strategy.kind,
)
def test_candidates_are_the_same_in_batches_of_any_size(
    make_policy: Callable[..., Policy], architecture: str, strategy: StrategySettings
) -> None:
    policy = make_policy(architecture)

    def write(tokens_at_once: int, texts: list[str] = SENTENCES) -> Candidates:
        policy.tokens_at_once = tokens_at_once
        return generate(policy, policy.tokenize_sources(texts), strategy, 5, texts)

    together, alone, some = write(10**6), write(1), write(70)
    for place, text in enumerate(SENTENCES):
        (own,) = write(1, [text]).texts
        assert together.texts[place] == own
        words = policy.texts(
            [row[kept].tolist() for row, kept in zip(*_rows(together, place), strict=True)]
        )
        assert tuple(words) == own
    for other in (alone, some):
        assert other.texts == together.texts
        assert torch.equal(other.tokens, together.tokens)
        assert torch.equal(other.mask, together.mask)
        torch.testing.assert_close(other.log_probs, together.log_probs)


def test_a_gpu_holds_the_tokens_that_its_free_memory_has_room_for(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def mem_get_info(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return 10**6, 10**9

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(type(policy), "device", torch.device("cuda", 3))
    # Keys and values of two layers of 16 numbers in float32.
    assert _capacity(policy) == int(ON_A_GPU * 10**6 / (2 * 2 * 16 * 4))
    assert asked == [torch.device("cuda", 3)]
