"""What constrains candidates, against transformers' processors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from goa.decoding.constraints import constraints_of
from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import ConstraintSettings, StrategySettings
from goa.policies.policy import Policy
from goa.settings import Settings
from tests.conftest import SENTENCES

CONSTRAINED: list[dict[str, Any]] = [
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 3},
    {"min_tokens": 5},
    {"repetition_penalty": 1.3, "no_repeat_ngram": 2, "min_tokens": 7},
]
STRATEGIES: list[dict[str, Any]] = [
    {"kind": "greedy"},
    {"kind": "beam", "num_beams": 3, "num_candidates": 2},
    {"kind": "diverse_beam", "num_groups": 2},
    {"kind": "sample", "num_candidates": 6},
    {"kind": "stochastic_beam", "num_candidates": 3},
]


class One(Settings):
    """One strategy."""

    strategy: StrategySettings


def write(policy: Policy, texts: list[str], settings: dict[str, Any]) -> Candidates:
    """Write by a strategy of these settings."""
    strategy = One.model_validate({"strategy": settings}).strategy
    return generate(policy, policy.tokenize_sources(texts), strategy, 3, texts)


class OfCandidates(LogitsProcessor):
    """Hides from another processor what comes before candidates."""

    def __init__(self, inner: LogitsProcessor, num_leading: int) -> None:
        self.inner = inner
        self.num_leading = num_leading

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.inner(input_ids[:, self.num_leading :], scores)


def processors(policy: Policy, leading: int, wanted: dict[str, Any]) -> list[LogitsProcessor]:
    """Make transformers' processors, in its order."""
    found: list[LogitsProcessor] = []
    if "repetition_penalty" in wanted:
        found.append(
            RepetitionPenaltyLogitsProcessor(
                wanted["repetition_penalty"], prompt_ignore_length=leading
            )
        )
    if "no_repeat_ngram" in wanted:
        found.append(OfCandidates(NoRepeatNGramLogitsProcessor(wanted["no_repeat_ngram"]), leading))
    if "min_tokens" in wanted:
        found.append(
            MinNewTokensLengthLogitsProcessor(leading, wanted["min_tokens"], policy.end_id)
        )
    return found


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
@pytest.mark.parametrize("wanted", CONSTRAINED, ids=str)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_constrained_outputs_are_those_of_transformers(
    ending_policy: Callable[[str], Policy],
    architecture: str,
    wanted: dict[str, Any],
    num_beams: int,
) -> None:
    policy = ending_policy(architecture)
    sources = policy.tokenize_sources(SENTENCES)
    leading = policy.num_leading(sources)
    theirs = policy.model.generate(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        generation_config=GenerationConfig(
            num_beams=num_beams,
            num_return_sequences=min(num_beams, 2),
            max_new_tokens=12,
            **policy.special_tokens(),
        ),
        logits_processor=processors(policy, leading, wanted),
    )[:, leading:]
    ends = (theirs == policy.end_id).long()
    theirs = theirs.masked_fill(ends.cumsum(dim=1) > ends, policy.pad_id)
    strategy = STRATEGIES[0] if num_beams == 1 else STRATEGIES[1]
    ours = write(policy, SENTENCES, strategy | wanted | {"max_tokens": 12})
    assert torch.equal(ours.tokens.flatten(0, 1), theirs)


@pytest.mark.parametrize("wanted", CONSTRAINED, ids=str)
def test_scores_are_those_of_transformers_processors_and_the_given_are_left(
    policy: Policy, wanted: dict[str, Any]
) -> None:
    random = torch.Generator().manual_seed(1)
    scores = torch.randn(40, 30, generator=random)
    settings = ConstraintSettings(**wanted)
    constraints = constraints_of(policy, policy.tokenize_sources(["red"]), settings)
    assert constraints is not None
    kept = scores.clone()
    for length in (0, 1, 2, 6, 9):
        written = torch.randint(4, (40, length), generator=random)
        theirs = scores
        for processor in processors(policy, 0, wanted):
            theirs = processor(written, theirs)
        ours = constraints.apply(scores, written, torch.zeros(40, dtype=torch.long))
        assert torch.equal(ours, theirs)
        assert torch.equal(scores, kept)


def test_without_constraints_there_is_nothing_to_apply(policy: Policy) -> None:
    sources = policy.tokenize_sources(["red"])
    assert constraints_of(policy, sources, ConstraintSettings(max_source_ratio=2.0)) is None


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("architecture", ["marian", "llama"])
def test_lengths_keep_to_those_of_their_sources(
    ending_policy: Callable[[str], Policy], architecture: str, strategy: dict[str, Any]
) -> None:
    policy = ending_policy(architecture)
    texts = [SENTENCES[1], "red", SENTENCES[4]]
    sources = policy.tokenize_sources(texts).mask.sum(dim=1, keepdim=True)
    ratios = {"min_source_ratio": 0.55, "max_source_ratio": 0.8}
    written = write(policy, texts, strategy | ratios)
    lengths = written.mask.sum(dim=-1)
    ended = (written.tokens == policy.end_id).logical_and(written.mask).any(dim=-1)
    longest = (0.8 * sources).floor()
    assert (lengths <= longest).all()
    # Two tokens leave nothing between the bounds; then the longest counts.
    assert (lengths >= ((0.55 * sources).ceil() + ended).minimum(longest)).all()
    assert len(lengths.unique()) > 1
    for place, text in enumerate(texts):
        alone = write(policy, [text], strategy | ratios)
        assert alone.texts[0] == written.texts[place]


def test_a_candidate_has_a_token_at_least(policy: Policy) -> None:
    written = write(policy, SENTENCES, {"kind": "greedy", "max_source_ratio": 0.01})
    assert written.tokens.shape[-1] == 1


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_log_probs_are_the_policys_own_whatever_constrains(
    ending_policy: Callable[[str], Policy], strategy: dict[str, Any]
) -> None:
    policy = ending_policy("marian")
    wanted = CONSTRAINED[-1] | {"max_tokens": 12}
    written = write(policy, SENTENCES, strategy | wanted)
    with torch.no_grad():
        scores = policy.score(
            policy.tokenize_sources(SENTENCES), written.tokens, written.mask
        ).log_probs
    torch.testing.assert_close(written.log_probs, scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_where_every_token_has_been_said_the_end_may_come(
    ending_policy: Callable[[str], Policy], strategy: dict[str, Any]
) -> None:
    policy = ending_policy("llama")
    policy.max_positions = None
    wanted = {"no_repeat_ngram": 1, "min_tokens": 90, "max_tokens": 90}
    written = write(policy, SENTENCES[:2], strategy | wanted)
    size = len(policy.tokenizer)
    assert (written.mask.sum(dim=-1) == size).all()
    assert (written.tokens[:, :, -1] == policy.end_id).all()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"min_tokens \(9\) exceeds max_tokens"):
        ConstraintSettings(min_tokens=9, max_tokens=8)
    with pytest.raises(ValueError, match=r"min_source_ratio \(2.0\) exceeds max_source_ratio"):
        ConstraintSettings(min_source_ratio=2.0, max_source_ratio=1.0)
