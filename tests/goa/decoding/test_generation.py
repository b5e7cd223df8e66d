"""Candidates, and the log-probabilities that come with them."""

from collections.abc import Callable

import pytest
import torch
from transformers import GenerationConfig

from goa.decoding import stepwise
from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import (
    BeamSettings,
    DiverseBeamSettings,
    GreedySettings,
    SampleSettings,
    StochasticBeamSettings,
    StrategySettings,
)
from goa.policies.policy import Policy
from tests.conftest import SENTENCES

ARCHITECTURES = ["marian", "bart", "t5", "llama"]
STRATEGIES = [
    GreedySettings(kind="greedy", max_tokens=12),
    SampleSettings(kind="sample", num_candidates=5, max_tokens=12),
    SampleSettings(kind="sample", num_candidates=5, max_tokens=12, temperature=0.7, top_p=0.9),
    BeamSettings(kind="beam", num_beams=3, num_candidates=2, max_tokens=12),
    DiverseBeamSettings(kind="diverse_beam", num_beams=4, num_groups=2, max_tokens=12),
    StochasticBeamSettings(
        kind="stochastic_beam", num_candidates=4, temperature=0.8, max_tokens=12
    ),
]


def run(policy: Policy, strategy: StrategySettings, rows: list[int], seed: int = 1) -> Candidates:
    """Generate for the sentences of these numbers."""
    texts = [SENTENCES[row] for row in rows]
    return generate(policy, policy.tokenize_sources(texts), strategy, seed, texts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_log_probs_are_the_teacher_forced_ones(
    ending_policy: Callable[[str], Policy], architecture: str, strategy: StrategySettings
) -> None:
    policy = ending_policy(architecture)
    written = run(policy, strategy, [0, 1, 2, 3, 4])
    with torch.no_grad():
        scores = policy.score(
            policy.tokenize_sources(SENTENCES), written.tokens, written.mask
        ).log_probs
    assert torch.allclose(written.log_probs, scores, atol=1e-5)
    if strategy.kind == "sample":
        assert len(set(written.mask.sum(dim=-1).flatten().tolist())) > 1


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_nothing_counts_after_the_end_token(
    ending_policy: Callable[[str], Policy], strategy: StrategySettings
) -> None:
    policy = ending_policy("marian")
    written = run(policy, strategy, [0, 1, 2, 3, 4])
    ends = (written.tokens == policy.end_id) & written.mask
    assert int(ends.sum(dim=-1).max()) == 1
    after = ends.long().cumsum(dim=-1) - ends.long() > 0
    assert not (written.mask & after).any()
    assert (written.log_probs[~written.mask] == 0.0).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_outputs_are_those_of_transformers(
    ending_policy: Callable[[str], Policy], architecture: str
) -> None:
    policy = ending_policy(architecture)
    sources = policy.tokenize_sources(SENTENCES)
    theirs = policy.model.generate(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        generation_config=GenerationConfig(max_new_tokens=12, **policy.special_tokens()),
    )[:, policy.num_leading(sources) :]
    ours = run(policy, GreedySettings(kind="greedy", max_tokens=12), [0, 1, 2, 3, 4]).tokens[:, 0]
    assert torch.equal(ours, theirs)


def test_a_source_gets_the_same_candidates_in_any_batch(
    ending_policy: Callable[[str], Policy],
) -> None:
    policy = ending_policy("marian")
    together = run(policy, STRATEGIES[1], [0, 1, 2, 3, 4])
    reordered = run(policy, STRATEGIES[1], [4, 2])
    assert reordered.texts == (together.texts[4], together.texts[2])


def test_another_seed_gives_other_candidates(ending_policy: Callable[[str], Policy]) -> None:
    policy = ending_policy("marian")
    one, two = (run(policy, STRATEGIES[1], [0, 1], seed=seed) for seed in (1, 2))
    assert one.texts != two.texts


def test_candidates_are_cut_at_the_limit_without_an_end_token(policy: Policy) -> None:
    written = run(policy, GreedySettings(kind="greedy", max_tokens=3), [0])
    assert written.mask.sum() == 3
    assert policy.end_id not in written.tokens.flatten().tolist()


def test_a_prompt_and_what_is_written_fit_into_the_positions_together(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy("llama")
    head = policy.model.get_output_embeddings()
    bias = torch.zeros(head.out_features)
    bias[policy.end_id] = -1e9  # never ends by itself
    head.bias = torch.nn.Parameter(bias)
    texts = [SENTENCES[0], " ".join(SENTENCES[:2])]
    sources = policy.tokenize_sources(texts)
    written = generate(policy, sources, GreedySettings(kind="greedy", max_tokens=99), 0, texts)
    lengths = written.mask.sum(dim=-1)[:, 0] + sources.mask.sum(dim=1)
    assert lengths.tolist() == [32, 32]


@pytest.mark.parametrize("architecture", ["marian", "t5", "llama"])
def test_candidates_are_the_same_however_often_one_looks_for_those_that_have_ended(
    ending_policy: Callable[[str], Policy], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ending_policy(architecture)
    looks: list[int] = []
    nonzero = torch.Tensor.nonzero

    def watched(tensor: torch.Tensor) -> torch.Tensor:
        looks.append(len(tensor))
        return nonzero(tensor)

    monkeypatch.setattr(torch.Tensor, "nonzero", watched)
    strategy = SampleSettings(kind="sample", num_candidates=5, max_tokens=12)
    often = run(policy, strategy, [0, 1, 2, 3, 4])
    steps = len(looks)
    monkeypatch.setattr(stepwise, "LOOK_EVERY", {"cpu": 5})
    looks.clear()
    seldom = run(policy, strategy, [0, 1, 2, 3, 4])
    assert len(looks) == steps // 5 > 0
    assert torch.equal(seldom.tokens, often.tokens)
    assert torch.equal(seldom.mask, often.mask)
    torch.testing.assert_close(seldom.log_probs, often.log_probs)
