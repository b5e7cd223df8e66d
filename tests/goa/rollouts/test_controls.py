"""Control arms: other rewards, and references in the place of candidates, for the same sources."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from goa.arms import Control
from goa.data.corpus import Corpus
from goa.decoding.settings import SampleSettings
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example, Sample, Scores
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.continued import ContinuedReferences
from goa.rollouts.controls import shuffled
from goa.rollouts.rollout import Rollout
from goa.rollouts.rounds import CandidateRounds, RoundPlan
from tests.conftest import SENTENCES, write_corpus

EXAMPLES = [
    Example(id=f"train-{index}", source=" ".join(["bird"] * (1 + index)), references=(text,))
    for index, text in enumerate([*SENTENCES, *SENTENCES])
]


class ByLength(Evaluator):
    """Pays more for longer candidates, and for longer sources."""

    name = signature = "by_length"

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(
            values=tuple(
                min(1.0, len(sample.candidate) / 200 + len(sample.example.source) / 400)
                for sample in samples
            )
        )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "train.arrow", EXAMPLES)


def make_rounds(
    policy: Policy,
    corpus: Corpus,
    control: Control | None,
    first: Rollout | None = None,
    share: slice = slice(None),
) -> CandidateRounds:
    strategy = SampleSettings(kind="sample", num_candidates=3, max_tokens=6)
    writer = CandidateWriter(policy, ByLength(), strategy, RolloutNeeds())
    plan = RoundPlan(num_rounds=5, sources_per_round=4, seed=3, control=control, share=share)
    return CandidateRounds(writer, corpus, first, plan)


def rewards_of(rollout: Rollout) -> Tensor:
    assert rollout.rewards is not None
    return rollout.rewards


def test_shuffled_rewards_are_those_of_the_round_given_to_other_candidates(
    policy: Policy, corpus: Corpus
) -> None:
    plain, other = (make_rounds(policy, corpus, control) for control in (None, "shuffled"))
    for index in range(4):
        one, two = plain[index], other[index]
        earned, paid = rewards_of(one), rewards_of(two)
        assert torch.equal(one.tokens, two.tokens)
        assert torch.equal(earned.flatten().sort().values, paid.flatten().sort().values)
        assert not torch.equal(
            earned.sum(dim=1), paid.sum(dim=1)
        )  # they cross from source to source
        assert two.diagnostics == one.diagnostics  # what the evaluator said


def test_each_round_is_shuffled_in_its_own_way_and_always_in_the_same() -> None:
    rewards = torch.arange(12.0).view(4, 3)
    orders = [shuffled(rewards, seed, index) for seed in (1, 2) for index in (0, 1)]
    assert len({tuple(order.flatten().tolist()) for order in orders}) == 4
    assert torch.equal(shuffled(rewards, 2, 1), orders[-1])
    assert all(order.shape == rewards.shape for order in orders)


def test_processes_of_a_team_shuffle_their_shares_apart(policy: Policy, corpus: Corpus) -> None:
    shares = [slice(0, None, 2), slice(1, None, 2)]
    for share in shares:
        earned = rewards_of(make_rounds(policy, corpus, None, share=share)[1])
        paid = rewards_of(make_rounds(policy, corpus, "shuffled", share=share)[1])
        assert torch.equal(earned.flatten().sort().values, paid.flatten().sort().values)
        assert not torch.equal(earned, paid)


def test_a_constant_reward_pays_every_candidate_the_same(policy: Policy, corpus: Corpus) -> None:
    plain, other = (make_rounds(policy, corpus, control) for control in (None, "constant"))
    for index in range(2):
        one, two = plain[index], other[index]
        assert torch.equal(one.tokens, two.tokens)
        assert torch.equal(rewards_of(two), torch.ones_like(rewards_of(one)))
        assert two.diagnostics["reward"] == one.diagnostics["reward"] != 1.0


def test_likelihood_goes_on_with_references_of_the_sources_that_the_others_take(
    policy: Policy, corpus: Corpus
) -> None:
    pool = EXAMPLES[:3]
    first = make_rounds(policy, corpus, None)[0][:3]
    candidates = make_rounds(policy, corpus, None, first=first)
    references = ContinuedReferences(make_rounds(policy, corpus, "likelihood", first), pool)
    assert len(references) == 5
    begun = references[0]
    assert torch.equal(
        begun.sources.ids, policy.tokenize_sources([example.source for example in pool]).ids
    )
    for index in (1, 2):
        taken = references[index]
        assert torch.equal(taken.sources.ids, candidates[index].sources.ids)
        assert taken.rewards is None
        assert taken.tokens.shape[1] == 1
    texts = policy.texts([row[row != policy.pad_id].tolist() for row in references[3].tokens[:, 0]])
    assert set(texts) <= set(SENTENCES)
