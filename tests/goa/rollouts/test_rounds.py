"""Which sources a round is of: curriculum, silent sources and what takes their place."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from goa.data.corpus import Corpus
from goa.decoding.settings import SampleSettings
from goa.errors import DataError
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example, Sample, Scores
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.curriculum import Curriculum, CurriculumSettings
from goa.rollouts.rollout import Rollout, join
from goa.rollouts.rounds import CandidateRounds, RoundPlan, Sources
from tests.conftest import SENTENCES, write_corpus

STRATEGY = SampleSettings(kind="sample", num_candidates=3, max_tokens=6)
EXAMPLES = [
    Example(
        id=f"train-{index}",
        source=" ".join(["bird"] * (1 + (index * 7) % 12)),
        references=(SENTENCES[index % 5],),
    )
    for index in range(12)
]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "train.arrow", EXAMPLES)


class SilentBelow(Evaluator):
    """Pays by length for sources of so many words or more, and nothing for shorter ones."""

    name = signature = "silent"

    def __init__(self, num_words: int) -> None:
        self.num_words = num_words

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(
            values=tuple(
                min(1.0, len(sample.candidate) / 100)
                if len(sample.example.source.split()) >= self.num_words
                else 0.0
                for sample in samples
            )
        )


def lengths_of(rollout: Rollout) -> list[int]:
    """Words of each source; each is one token, with an end token behind."""
    return [int(length) - 1 for length in rollout.sources.mask.sum(dim=1)]


def test_a_curriculum_by_length_begins_with_the_shortest_and_opens_up(corpus: Corpus) -> None:
    settings = CurriculumSettings(by="length", start=0.25, rounds=4)
    curriculum = Curriculum(settings, corpus, {})
    for index, most in ((0, 3), (2, 8), (4, 12), (9, 12)):
        allowed = [row for row in range(12) if curriculum.allows(row, index)]
        lengths = sorted(len(EXAMPLES[row].source.split()) for row in allowed)
        assert lengths == list(range(1, most + 1))


def test_a_curriculum_by_spread_begins_where_candidates_differ_most(corpus: Corpus) -> None:
    spreads = {"train-5": 0.3, "train-2": 0.1, "train-9": 0.2, "train-0": 0.0}
    curriculum = Curriculum(CurriculumSettings(by="spread", start=0.17, rounds=12), corpus, spreads)
    order = [{row for row in range(12) if curriculum.allows(row, index)} for index in range(13)]
    assert order[0] == {5, 9}
    assert order[1] == {5, 9, 2}
    assert 0 in order[3]
    assert order[12] == set(range(12))


def test_a_round_draws_from_what_its_curriculum_allows(corpus: Corpus) -> None:
    settings = CurriculumSettings(by="length", start=0.25, rounds=100)
    plan = RoundPlan(
        num_rounds=3, sources_per_round=6, seed=1, curriculum=Curriculum(settings, corpus, {})
    )
    taken = Sources(corpus, plan).take(0, 6)
    assert sorted(len(example.source.split()) for example in taken) == [1, 1, 2, 2, 3, 3]


def test_a_round_without_any_source_is_refused(corpus: Corpus) -> None:
    settings = CurriculumSettings(by="length", start=0.1, rounds=100)
    shortest = min(EXAMPLES, key=lambda example: len(example.source))
    plan = RoundPlan(
        num_rounds=3,
        sources_per_round=6,
        seed=1,
        silent={shortest.id},
        curriculum=Curriculum(settings, corpus, {}),
    )
    with pytest.raises(DataError, match=r"round 1: none of the sources .* carries signal"):
        Sources(corpus, plan).take(0, 1)


@pytest.mark.parametrize("architecture", ["marian", "llama"])
def test_others_take_the_place_of_silent_sources(
    make_policy: Callable[..., Policy], corpus: Corpus, architecture: str
) -> None:
    policy = make_policy(architecture)
    needs = RolloutNeeds(references=True, greedy=True, credits=True)
    writer = CandidateWriter(policy, SilentBelow(7), STRATEGY, needs)

    def rounds(replacements: int) -> CandidateRounds:
        plan = RoundPlan(num_rounds=4, sources_per_round=6, seed=1, replacements=replacements)
        return CandidateRounds(writer, corpus, None, plan)

    plain, replaced = rounds(0)[0], rounds(3)[0]
    assert not bool(plain.speaking_mask.all())
    assert int(replaced.speaking_mask.sum()) == len(replaced) > int(plain.speaking_mask.sum())
    assert replaced.diagnostics["replaced_sources"] > 0
    assert replaced.diagnostics["silent_share"] == plain.diagnostics["silent_share"] > 0
    assert replaced.log_probs is not None
    with torch.no_grad():
        scores = policy.score(replaced.sources, replaced.tokens, replaced.mask).log_probs
    assert torch.allclose(replaced.log_probs, scores, atol=1e-5)
    assert replaced.references is not None
    assert replaced.greedy_rewards is not None
    assert replaced.credits is not None
    assert len(replaced.references) == len(replaced.greedy_rewards) == len(replaced)
    assert torch.allclose(replaced.credits.sum(-1), replaced.rewards, atol=1e-6)  # type: ignore[arg-type]
    again = rounds(3)
    again.examples(0)
    assert torch.equal(again[2].tokens, rounds(3)[2].tokens)  # whatever came before


def test_where_all_stay_silent_the_round_is_what_it_was(policy: Policy, corpus: Corpus) -> None:
    writer = CandidateWriter(policy, SilentBelow(99), STRATEGY, RolloutNeeds())
    plan = RoundPlan(num_rounds=4, sources_per_round=4, seed=1, replacements=2)
    rollout = CandidateRounds(writer, corpus, None, plan)[0]
    assert len(rollout) == 4
    assert rollout.diagnostics["replaced_sources"] == 8.0


def test_joined_rollouts_are_their_parts(policy: Policy) -> None:
    writer = CandidateWriter(policy, SilentBelow(0), STRATEGY, RolloutNeeds(references=True))
    whole = writer.write(EXAMPLES[:5], 3)
    joined = join([whole[:2], whole[2:3], whole[3:]], policy)
    for name in ("tokens", "mask", "log_probs", "rewards"):
        assert torch.equal(getattr(joined, name), getattr(whole, name)), name
    assert torch.equal(joined.sources.ids, whole.sources.ids)
    assert whole.references is not None
    assert joined.references is not None
    assert torch.equal(joined.references.tokens, whole.references.tokens)
