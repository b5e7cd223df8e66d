"""Policies on a device that is no CPU; test_elsewhere.py runs this in a process of its own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from goa.decoding.generation import Candidates, generate
from goa.decoding.recording import RECORDERS
from goa.decoding.settings import SampleSettings, StrategySettings
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from tests import away
from tests.conftest import SENTENCES
from tests.goa.decoding.test_generation import ARCHITECTURES, STRATEGIES

SAMPLE = SampleSettings(kind="sample", num_candidates=5, max_tokens=12)
CUT = SAMPLE.model_copy(update={"top_k": 30, "min_p": 0.01, "epsilon": 0.001})
CONSTRAINED = SAMPLE.model_copy(
    update={
        "repetition_penalty": 1.2,
        "no_repeat_ngram": 2,
        "min_tokens": 3,
        "min_source_ratio": 0.5,
    }
)


@pytest.fixture
def both(ending_policy: Callable[[str], Policy]) -> Callable[[str], tuple[Policy, Policy]]:
    """Build a policy twice, on a CPU and elsewhere."""

    def make(architecture: str) -> tuple[Policy, Policy]:
        here, there = ending_policy(architecture), ending_policy(architecture)
        there.model.to(away.DEVICE)
        return here, there

    return make


def run(
    policy: Policy, strategy: StrategySettings, given: list[list[int]] | None = None
) -> Candidates:
    prefixes = None if given is None else policy.pad(given)
    return generate(policy, policy.tokenize_sources(SENTENCES), strategy, 1, SENTENCES, prefixes)


def assert_same(there: Candidates, here: Candidates) -> None:
    assert {each.device for each in (there.tokens, there.mask, there.log_probs)} == {away.DEVICE}
    assert there.texts == here.texts
    assert torch.equal(there.tokens.cpu(), here.tokens)
    torch.testing.assert_close(there.log_probs.cpu(), here.log_probs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strategy", [*STRATEGIES, CUT, CONSTRAINED], ids=str)
def test_candidates_are_those_of_a_cpu(
    both: Callable[[str], tuple[Policy, Policy]], architecture: str, strategy: StrategySettings
) -> None:
    here, there = both(architecture)
    assert_same(run(there, strategy), run(here, strategy))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("given", [None, [[7, 8, 9], [], [7], [8, 9], [9]]])
def test_candidates_of_what_stays_in_place_are_the_same(
    both: Callable[[str], tuple[Policy, Policy]],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    given: list[list[int]] | None,
) -> None:
    here, there = both(architecture)
    monkeypatch.setitem(RECORDERS, away.NAME, lambda _: lambda work: work)
    there.cuda_graphs = True
    assert_same(run(there, SAMPLE, given), run(here, SAMPLE, given))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_while_it_draws_nothing_is_asked_but_every_eighth_token_who_is_left(
    both: Callable[[str], tuple[Policy, Policy]],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    in_place: bool,
) -> None:
    _, policy = both(architecture)
    monkeypatch.setitem(RECORDERS, away.NAME, lambda _: lambda work: work)
    policy.cuda_graphs = in_place
    policy.end_id = -1  # never comes
    waits = []
    for length in (8, 9, 17):
        away.waited.clear()
        written = run(policy, CUT.model_copy(update={"max_tokens": length}))
        assert written.tokens.shape[-1] == length
        waits.append(len(away.waited))
    assert [each - waits[0] for each in waits] == [0, 1, 2]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_and_gradients_are_those_of_a_cpu(
    both: Callable[[str], tuple[Policy, Policy]], architecture: str
) -> None:
    def scored(policy: Policy) -> dict[str, Tensor]:
        rows = policy.target_ids([SENTENCES[3], SENTENCES[0], SENTENCES[0], SENTENCES[2]])
        targets: Tokens = policy.pad(rows)
        ids, mask = (each.view(2, 2, -1) for each in (targets.ids, targets.mask))
        sources = policy.tokenize_sources(SENTENCES[:2])
        scores = policy.score(sources, ids, mask, "gradient", states=True)
        assert scores.entropy is not None
        assert scores.states is not None
        (scores.log_probs.sum() + scores.entropy.sum() + scores.states.square().sum()).backward()
        gradients = {name: weight.grad for name, weight in policy.trained().items()}
        found = {"log_probs": scores.log_probs, "entropy": scores.entropy, **gradients}
        return {name: value.detach().cpu() for name, value in found.items() if value is not None}

    here, there = map(scored, both(architecture))
    assert len(here) > 20
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-5)


def test_what_is_here_and_there_together_is_refused() -> None:
    here, there = torch.ones(3), torch.ones(3, device=away.DEVICE)
    for mixed in (lambda: there + here, lambda: here[there.long()], there.numpy):
        with pytest.raises((RuntimeError, TypeError)):
            mixed()
    assert (there + torch.tensor(1.0)).tolist() == [2.0] * 3
