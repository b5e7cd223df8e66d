"""Rounds: what a training run is fed, and that it can be had again."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from goa.data.corpus import Corpus
from goa.data.noise import SourceNoiseSettings
from goa.data.pool import Candidate, Reward, write_pool, write_rewards
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings, SampleSettings
from goa.errors import DataError, EvaluatorError
from goa.evaluators.contract import Evaluator
from goa.evaluators.learning import LearningEvaluator
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.records import Example, Sample, Scores
from goa.rollouts import references
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.credits import reward_gains
from goa.rollouts.pooled import PoolChoice, start_from_pool
from goa.rollouts.references import ReferencePlan, ReferenceRounds, references_of
from goa.rollouts.rollout import Rollout
from goa.rollouts.rounds import CandidateRounds, RoundPlan
from goa.trainer.reward_validation import Look, RewardValidation
from tests.conftest import SENTENCES, write_corpus

STRATEGY = SampleSettings(kind="sample", num_candidates=3, max_tokens=6)
EXAMPLES = [
    Example(
        id=f"train-{index}",
        source=" ".join([SENTENCES[index % 5]] * (1 + index % 2)),
        references=(SENTENCES[(index + 1) % 5], SENTENCES[(index + 2) % 5]),
    )
    for index in range(10)
]


class LengthEvaluator(Evaluator):
    """Pays for long candidates; a stand-in whose scores are easy to foretell."""

    name = "length"
    signature = "length"

    def score(self, samples: Sequence[Sample]) -> Scores:
        values = tuple(min(1.0, len(sample.candidate) / 100) for sample in samples)
        return Scores(values=values, parts={"half": tuple(value / 2 for value in values)})


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "train.arrow", EXAMPLES)


def plan(sources_per_round: int, epochs: int) -> ReferencePlan:
    return ReferencePlan(sources_per_round=sources_per_round, epochs=epochs, seed=1)


def sources_of(rollout: Rollout, policy: Policy) -> list[str]:
    """Read the sources of a rollout back."""
    lengths = rollout.sources.mask.sum(dim=1).tolist()
    rows = rollout.sources.ids.tolist()
    return policy.texts([row[:length] for row, length in zip(rows, lengths, strict=True)])


@pytest.mark.parametrize("rounds_per_block", [1, 2, 32])
def test_an_epoch_of_references_sees_every_source_once(
    policy: Policy, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, rounds_per_block: int
) -> None:
    monkeypatch.setattr(references, "ROUNDS_PER_BLOCK", rounds_per_block)
    rounds = ReferenceRounds(policy, corpus, plan(3, 2))
    assert len(rounds) == 6
    for epoch in (0, 3):
        seen = Counter(
            source for turn in range(3) for source in sources_of(rounds[epoch + turn], policy)
        )
        assert seen == Counter(example.source for example in EXAMPLES)


@pytest.mark.parametrize("rounds_per_block", [1, 2, 32])
@pytest.mark.parametrize(
    ("size", "sizes"), [(3, [3, 3, 4]), (4, [2, 4, 4]), (7, [10]), (6, [4, 6]), (50, [10])]
)
def test_no_round_of_an_epoch_is_smaller_than_half_a_round(
    policy: Policy,
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    rounds_per_block: int,
    size: int,
    sizes: list[int],
) -> None:
    monkeypatch.setattr(references, "ROUNDS_PER_BLOCK", rounds_per_block)
    rounds = ReferenceRounds(policy, corpus, plan(size, 1))
    assert sorted(len(rounds[index]) for index in range(len(rounds))) == sizes


def test_pairs_of_like_length_share_a_round(policy: Policy, corpus: Corpus) -> None:
    rounds = ReferenceRounds(policy, corpus, plan(3, 1))
    longest_sides = sorted(
        torch.maximum(rollout.sources.mask.sum(dim=1), rollout.mask.sum(dim=-1)[:, 0]).tolist()
        for rollout in (rounds[index] for index in range(len(rounds)))
    )
    for shorter, longer in itertools.pairwise(longest_sides):
        assert max(shorter) <= min(longer)


def test_a_round_of_references_is_the_same_whenever_it_is_asked_for(
    policy: Policy, corpus: Corpus
) -> None:
    forward = [ReferenceRounds(policy, corpus, plan(3, 2))[index] for index in (5, 0)]
    rounds = ReferenceRounds(policy, corpus, plan(3, 2))
    for index, before in zip((5, 0), forward, strict=True):
        assert torch.equal(rounds[index].tokens, before.tokens)
        assert torch.equal(rounds[index].sources.ids, before.sources.ids)


def test_which_reference_is_learnt_from_follows_from_seed_and_id(policy: Policy) -> None:
    def chosen(seed: int) -> list[list[int]]:
        return references_of(policy, EXAMPLES, seed).tokens[:, 0].tolist()

    assert chosen(1) == chosen(1)
    backwards = references_of(policy, EXAMPLES[::-1], 1).tokens[:, 0].tolist()
    assert backwards[::-1] == chosen(1)
    assert len({str(chosen(seed)) for seed in range(5)}) > 1


def test_all_references_are_used_in_the_course_of_time(policy: Policy, corpus: Corpus) -> None:
    rounds = ReferenceRounds(policy, corpus, plan(10, 12))
    seen = {
        text
        for index in range(len(rounds))
        for text in policy.texts(
            [
                row[mask].tolist()
                for row, mask in zip(
                    rounds[index].tokens[:, 0], rounds[index].mask[:, 0], strict=True
                )
            ]
        )
    }
    assert seen == set(SENTENCES)


def test_a_rollout_is_cut_along_sources_and_never_along_candidates() -> None:
    rollout = Rollout(
        sources=_tokens(5, 4), tokens=torch.ones(5, 3, 7).long(), mask=torch.ones(5, 3, 7).bool()
    )
    assert [part.tokens.shape for part in rollout.cut(2 * 3 * 7)] == [
        (2, 3, 7),
        (2, 3, 7),
        (1, 3, 7),
    ]
    assert [len(part) for part in rollout.cut(1)] == [1] * 5


def _tokens(num_rows: int, width: int) -> Tokens:
    return Tokens(ids=torch.ones(num_rows, width).long(), mask=torch.ones(num_rows, width).bool())


def test_candidates_are_distinct_by_their_own_tokens_alone() -> None:
    tokens = torch.tensor([[[5, 1, 0], [5, 1, 9], [5, 0, 0], [5, 1, 7], [5, 1, 7]]])
    mask = torch.arange(3) < torch.tensor([[2, 2, 1, 3, 3]]).unsqueeze(-1)
    rollout = Rollout(sources=_tokens(1, 2), tokens=tokens, mask=mask)
    assert rollout.distinct_mask.tolist() == [[True, False, True, True, False]]


def test_a_fresh_rollout_has_the_evaluators_scores_in_their_places(policy: Policy) -> None:
    needs = RolloutNeeds(greedy=True, references=True)
    writer = CandidateWriter(policy, LengthEvaluator(), STRATEGY, needs)
    rollout = writer.write(EXAMPLES[:4], seed=5)
    sources = policy.tokenize_sources([example.source for example in EXAMPLES[:4]])
    keys = [example.id for example in EXAMPLES[:4]]
    texts = generate(policy, sources, STRATEGY, 5, keys).texts
    expected = [[len(text) / 100 for text in row] for row in texts]
    assert rollout.rewards is not None
    assert rollout.greedy_rewards is not None
    assert rollout.rewards.tolist() == [pytest.approx(row) for row in expected]
    assert rollout.greedy_rewards.shape == (4,)
    assert_references_belong_to(rollout, EXAMPLES[:4], policy)
    assert rollout.diagnostics["reward"] == pytest.approx(np.mean(expected))
    assert rollout.diagnostics["reward.half"] == pytest.approx(np.mean(expected) / 2)


def assert_references_belong_to(
    rollout: Rollout, examples: Sequence[Example], policy: Policy
) -> None:
    """Check each row's reference against its example's, whole and cut."""
    for rows in (slice(0, None), slice(1, 3)):
        references = rollout[rows].references
        assert references is not None
        rows_of_ids = zip(references.tokens, references.mask, strict=True)
        written = policy.texts([ids[mask].tolist() for ids, mask in rows_of_ids])
        for text, example in zip(written, examples[rows], strict=True):
            assert text in example.references
        assert torch.equal(references.sources.ids, rollout[rows].sources.ids)


def texts_of(rollout: Rollout, policy: Policy) -> list[list[str]]:
    """Read the candidates of a rollout back."""
    return [
        policy.texts([ids[mask].tolist() for ids, mask in zip(rows, masks, strict=True)])
        for rows, masks in zip(rollout.tokens, rollout.mask, strict=True)
    ]


def test_a_reference_can_be_the_last_candidate(policy: Policy) -> None:
    needs = RolloutNeeds(references=True, reference_among_candidates=True)
    rollout = CandidateWriter(policy, LengthEvaluator(), STRATEGY, needs).write(EXAMPLES[:4], 5)
    plain = CandidateWriter(policy, LengthEvaluator(), STRATEGY, RolloutNeeds()).write(
        EXAMPLES[:4], 5
    )
    texts = texts_of(rollout, policy)
    assert [row[:3] for row in texts] == texts_of(plain, policy)
    for row, example in zip(texts, EXAMPLES, strict=False):
        assert row[3] in example.references
    assert rollout.rewards is not None
    assert rollout.log_probs is not None
    expected = [[len(text) / 100 for text in row] for row in texts]
    assert rollout.rewards.tolist() == [pytest.approx(row) for row in expected]
    with torch.no_grad():
        scores = policy.score(rollout.sources, rollout.tokens, rollout.mask).log_probs
    assert torch.allclose(rollout.log_probs, scores, atol=1e-5)
    assert rollout.references is not None
    alone = texts_of(rollout.references, policy)
    assert [row[0] for row in alone] == [row[3] for row in texts]
    assert rollout.diagnostics["reward"] == plain.diagnostics["reward"]


class FirstWordEvaluator(LengthEvaluator):
    """Pays 0.1 for any text, and 0.5 more once the word bird has been written; counts texts."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.seen += [(sample.example.id, sample.candidate) for sample in samples]
        values = [0.1 + 0.5 * ("bird" in sample.candidate.split()) for sample in samples]
        return Scores(values=tuple(values))


def test_each_token_is_credited_with_what_it_gained(policy: Policy) -> None:
    evaluator = FirstWordEvaluator()
    targets = policy.pad(policy.target_ids(["the bird sings", "bird bird", "a dog"]))
    rollout = Rollout(
        sources=policy.tokenize_sources([EXAMPLES[0].source]),
        tokens=targets.ids[None],
        mask=targets.mask[None],
    )
    credits = reward_gains(policy, evaluator, EXAMPLES[:1], rollout)
    for row, text in enumerate(["the bird sings", "bird bird", "a dog"]):
        ids = targets.ids[row][targets.mask[row]].tolist()
        prefixes = policy.texts([ids[: place + 1] for place in range(len(ids))])
        paid = next((place for place, text in enumerate(prefixes) if "bird" in text.split()), None)
        expected = torch.zeros(targets.ids.shape[1])
        expected[0] = 0.1
        if paid is not None:
            expected[paid] += 0.5
        assert torch.allclose(credits[0, row], expected, atol=1e-6), text
    assert len(set(evaluator.seen)) == len(evaluator.seen)


def test_credits_sum_to_the_reward_in_a_rollout_and_in_its_parts(policy: Policy) -> None:
    needs = RolloutNeeds(credits=True, reference_among_candidates=True)
    rollout = CandidateWriter(policy, LengthEvaluator(), STRATEGY, needs).write(EXAMPLES[:4], 5)
    for part in (rollout, rollout[1:3]):
        assert part.credits is not None
        assert part.rewards is not None
        assert torch.allclose(part.credits.sum(dim=-1), part.rewards, atol=1e-6)
        assert not part.credits[~part.mask].any()
        assert part.credits.shape == part.mask.shape


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_candidates_begin_with_what_they_are_given(policy: Policy, share: float) -> None:
    needs = RolloutNeeds(references=True, prefix_share=lambda index: share if index == 3 else 0.9)
    long = STRATEGY.model_copy(update={"max_tokens": 30})
    rollout = CandidateWriter(policy, LengthEvaluator(), long, needs).write(EXAMPLES[:4], 5, 3)
    assert rollout.references is not None
    assert rollout.prefix_mask is not None
    assert rollout.log_probs is not None
    for source in range(4):
        length = int(rollout.references.mask[source].sum())
        given = int(share * length)
        assert rollout.prefix_mask[source].sum(dim=-1).tolist() == [given] * 3
        reference = rollout.references.tokens[source, 0, :given]
        for candidate in rollout.tokens[source]:
            assert torch.equal(candidate[:given], reference)
    with torch.no_grad():
        scores = policy.score(rollout.sources, rollout.tokens, rollout.mask).log_probs
    assert torch.allclose(rollout.log_probs, scores, atol=1e-5)
    assert bool((rollout.mask & ~rollout.prefix_mask).any()) == (share < 1.0)


def test_a_prefix_beyond_the_length_limit_is_cut_there(policy: Policy) -> None:
    needs = RolloutNeeds(prefix_share=lambda _: 1.0)
    short = STRATEGY.model_copy(update={"max_tokens": 3})
    rollout = CandidateWriter(policy, LengthEvaluator(), short, needs).write(EXAMPLES[:2], 5)
    assert rollout.prefix_mask is not None
    assert rollout.prefix_mask.shape == rollout.mask.shape == (2, 3, 3)
    assert rollout.prefix_mask.all()


def test_the_policy_reads_noise_and_the_evaluator_does_not(policy: Policy) -> None:
    class Overheard(LengthEvaluator):
        def score(self, samples: Sequence[Sample]) -> Scores:
            heard.update(sample.example.source for sample in samples)
            return super().score(samples)

    heard: set[str] = set()
    noise = SourceNoiseSettings(swaps=0.0, drops=0.5, share=0.5)
    needs = RolloutNeeds(references=True, noise=noise)
    rollout = CandidateWriter(policy, Overheard(), STRATEGY, needs).write(EXAMPLES, 5)
    assert heard == {example.source for example in EXAMPLES}
    read = sources_of(rollout, policy)
    spoilt = [text != example.source for text, example in zip(read, EXAMPLES, strict=True)]
    assert 2 <= sum(spoilt) <= 8
    for text, example in zip(read, EXAMPLES, strict=True):
        assert set(text.split()) <= set(example.source.split())
    assert rollout.references is not None
    assert torch.equal(rollout.references.sources.ids, rollout.sources.ids)
    assert rollout.log_probs is not None
    with torch.no_grad():
        scores = policy.score(rollout.sources, rollout.tokens, rollout.mask).log_probs
    assert torch.allclose(rollout.log_probs, scores, atol=1e-5)


def test_an_evaluator_without_a_score_is_no_reward(policy: Policy) -> None:
    class Silent(LengthEvaluator):
        def score(self, samples: Sequence[Sample]) -> Scores:
            return Scores(values=(None,) * len(samples))

    with pytest.raises(EvaluatorError, match="length: no score for .* cannot be a reward"):
        CandidateWriter(policy, Silent(), STRATEGY, RolloutNeeds()).write(EXAMPLES[:1], 1)


class Choosy(LengthEvaluator):
    """Applies to nothing that is written for some of the examples."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused

    def score(self, samples: Sequence[Sample]) -> Scores:
        values = super().score(samples).values
        return Scores(
            values=tuple(
                None if sample.example.id in self.refused else value
                for sample, value in zip(samples, values, strict=True)
            )
        )


@pytest.mark.parametrize("what", ["greedy", "references", "reference_among_candidates", "credits"])
def test_where_told_sources_without_reward_are_left_out_and_counted(
    policy: Policy, what: str
) -> None:
    needs = RolloutNeeds(drops=True, **{what: True})
    refused = {EXAMPLES[0].id, EXAMPLES[2].id}
    rollout = CandidateWriter(policy, Choosy(refused), STRATEGY, needs).write(EXAMPLES[:4], 5)
    whole = CandidateWriter(policy, LengthEvaluator(), STRATEGY, needs).write(EXAMPLES[:4], 5)
    kept = whole[torch.tensor([False, True, False, True])]
    for name in ("tokens", "mask", "log_probs", "rewards", "greedy_rewards", "credits"):
        found, expected = getattr(rollout, name), getattr(kept, name)
        assert (found is None) == (expected is None)
        if found is not None:
            torch.testing.assert_close(found, expected)
    assert rollout.diagnostics["dropped_sources"] == 2
    assert rollout.rewards is not None
    assert rollout.diagnostics["reward"] == pytest.approx(float(rollout.rewards[:, :3].mean()))


class Pupil(LearningEvaluator):
    """Scores by how often it has learnt, and notes from what."""

    name = "pupil"
    signature = "pupil"
    refit_every = 2

    def __init__(self) -> None:
        self.lessons: list[tuple[list[str], bool]] = []

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(values=(len(self.lessons) / 10,) * len(samples))

    def begin(self, samples: Sequence[Sample]) -> Callable[[], Scores]:
        scores = self.score(samples)  # as it is now, as those that have processes do
        return lambda: scores

    def learn(self, samples: Sequence[Sample], seed: int, *, anew: bool) -> Mapping[str, float]:
        self.lessons.append(([sample.candidate for sample in samples], anew))
        return {"accuracy": 0.7}

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None: ...


def test_an_evaluator_learns_from_fresh_candidates_when_it_is_due_and_before_it_scores_them(
    policy: Policy,
) -> None:
    pupil = Pupil()
    policy.tokens_at_once = 1  # each source is a batch of its own
    writer = CandidateWriter(policy, pupil, STRATEGY, RolloutNeeds())
    rewards, said = [], []
    for index in range(5):
        rollout = writer.write(EXAMPLES[:2], seed=index, index=index)
        assert rollout.rewards is not None
        rewards.append(round(float(rollout.rewards.mean()), 6))
        said.append(rollout.diagnostics.get("pupil.accuracy"))
    assert rewards == [0.0, 0.0, 0.1, 0.1, 0.2]
    assert said == [None, None, 0.7, None, 0.7]
    assert pupil.lessons[1] == ([text for row in texts_of(rollout, policy) for text in row], False)


def test_a_round_that_is_written_in_parts_is_learnt_from_once(policy: Policy) -> None:
    pupil = Pupil()
    writer = CandidateWriter(policy, pupil, STRATEGY, RolloutNeeds())
    for _ in range(2):
        writer.write(EXAMPLES[:2], seed=1, index=2)
    assert len(pupil.lessons) == 1


def test_a_round_without_any_reward_is_an_error(policy: Policy) -> None:
    refused = {example.id for example in EXAMPLES}
    writer = CandidateWriter(policy, Choosy(refused), STRATEGY, RolloutNeeds(drops=True))
    with pytest.raises(EvaluatorError, match="length: not one of 4 sources"):
        writer.write(EXAMPLES[:4], 5)


def test_validation_gives_what_was_written_in_the_order_of_the_sources(
    policy: Policy, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = GreedySettings(kind="greedy", max_tokens=6)
    sources = policy.tokenize_sources([example.source for example in EXAMPLES[:5]])
    expected = generate(policy, sources, strategy, 0, [example.id for example in EXAMPLES[:5]])
    monkeypatch.setattr("goa.trainer.validation.SOURCES_PER_BATCH", 2)
    look = Look(num_sources=5, max_tokens=6)
    seen = RewardValidation(policy, {"validation_reward": LengthEvaluator()}, corpus, look)()
    assert seen.outputs == tuple(text for (text,) in expected.texts)


def test_where_told_outputs_without_reward_are_left_out_of_validation(
    policy: Policy, corpus: Corpus, tmp_path: Path
) -> None:
    refused = {EXAMPLES[0].id, EXAMPLES[2].id}
    look = Look(num_sources=4, max_tokens=6, drops=True)
    seen = RewardValidation(policy, {"validation_reward": Choosy(refused)}, corpus, look)()
    others = write_corpus(tmp_path / "others.arrow", [EXAMPLES[1], EXAMPLES[3]])
    expected = RewardValidation(policy, {"validation_reward": LengthEvaluator()}, others, look)()
    assert seen.score == pytest.approx(expected.score)
    with pytest.raises(EvaluatorError, match="cannot be a reward"):
        RewardValidation(policy, {"r": Choosy(refused)}, corpus, replace(look, drops=False))()
    refused |= {example.id for example in EXAMPLES}
    with pytest.raises(EvaluatorError, match="not one output of the validation split"):
        RewardValidation(policy, {"r": Choosy(refused)}, corpus, look)()


@pytest.fixture
def pool(policy: Policy, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write a pool of all examples and rewards by a rule of the test's."""

    def write(
        reward: Callable[[Example, int], float | None], by_beam: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        sources = policy.tokenize_sources([example.source for example in EXAMPLES])
        written = generate(policy, sources, STRATEGY, 5, [example.id for example in EXAMPLES])
        candidates, rewards = [], []
        for row, example in enumerate(EXAMPLES):
            strategy = "beam" if example.id in by_beam else "sample"
            for rank in range(3):
                length = int(written.mask[row, rank].sum())
                log_probs = written.log_probs[row, rank, :length].tolist()
                candidates.append(
                    Candidate(
                        example_id=example.id,
                        strategy=strategy,
                        rank=rank,
                        text=written.texts[row][rank],
                        token_ids=tuple(written.tokens[row, rank, :length].tolist()),
                        token_log_probs=tuple(log_probs),
                        log_prob=sum(log_probs),
                        length=length,
                    )
                )
                rewards.append(
                    Reward(
                        example_id=example.id,
                        strategy=strategy,
                        rank=rank,
                        reward=reward(example, rank),
                    )
                )
        write_pool(tmp_path / "pool.parquet", candidates)
        write_rewards(tmp_path / "rewards.parquet", rewards)
        return tmp_path / "pool.parquet", tmp_path / "rewards.parquet"

    return write


CHOICE = PoolChoice(strategy="sample", greedy=None, num_sources=4, seed=1)


def speaking(example: Example, rank: int) -> float:
    """Odd examples earn by rank; even ones earn the same for all."""
    return 0.3 * rank if int(example.id[-1]) % 2 else 0.5


def test_the_first_round_takes_sources_with_signal_and_their_own_log_probs(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    start = start_from_pool(policy, corpus, *pool(speaking), CHOICE)
    rollout = start.rollout
    assert len(start.spreads) == 10
    assert start.spreads["train-1"] == pytest.approx(np.std([0.0, 0.3, 0.6]))
    assert start.silent == {f"train-{index}" for index in (0, 2, 4, 6, 8)}
    assert rollout.rewards is not None
    assert rollout.log_probs is not None
    assert rollout.rewards.tolist() == [pytest.approx([0.0, 0.3, 0.6])] * 4
    with torch.no_grad():
        scores = policy.score(rollout.sources, rollout.tokens, rollout.mask).log_probs
    assert torch.allclose(rollout.log_probs, scores, atol=1e-5)
    by_source = {" ".join(example.source.split()): example for example in EXAMPLES}
    chosen = [by_source[source] for source in sources_of(rollout, policy)]
    assert list(start.examples) == chosen


def test_a_pool_without_any_signal_is_refused(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    with pytest.raises(DataError, match="each of the 10 sources earn the same"):
        start_from_pool(policy, corpus, *pool(lambda *_: 0.5), CHOICE)


def test_a_pool_with_fewer_sources_than_processes_is_refused(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    choice = replace(CHOICE, num_sources=9, fewest=5)
    start_from_pool(policy, corpus, *pool(speaking), choice)
    with pytest.raises(DataError, match="only 5 sources to learn from, for 6 processes"):
        start_from_pool(policy, corpus, *pool(speaking), replace(choice, fewest=6))


def test_a_pool_without_any_signal_serves_where_silent_sources_are_kept(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    keeping = replace(CHOICE, keeps_silent=True)
    start = start_from_pool(policy, corpus, *pool(lambda *_: 0.5), keeping)
    assert len(start.examples) == 4
    assert len(start.silent) == 10


def test_a_candidate_without_a_reward_is_refused(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    with pytest.raises(DataError, match="no reward for candidate 0"):
        start_from_pool(policy, corpus, *pool(lambda *_: None), CHOICE)


def test_where_told_sources_of_the_pool_without_reward_are_left_out(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    def failing(example: Example, rank: int) -> float | None:
        return None if (example.id, rank) == ("train-1", 2) else speaking(example, rank)

    choice = replace(CHOICE, num_sources=9, drops=True)
    start = start_from_pool(policy, corpus, *pool(failing), choice)
    assert [example.id for example in start.examples] == [
        "train-3",
        "train-5",
        "train-7",
        "train-9",
    ]


def test_rewards_of_another_pool_are_refused(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    candidates, rewards = pool(speaking)
    others = [
        Reward(example_id="train-0", strategy="sample", rank=rank, reward=0.1) for rank in range(2)
    ]
    write_rewards(rewards, others)
    with pytest.raises(DataError, match="its rewards are not those of"):
        start_from_pool(policy, corpus, candidates, rewards, CHOICE)


def test_sources_that_the_strategy_wrote_nothing_for_are_left_out(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    written = pool(speaking, by_beam=["train-1"])
    start = start_from_pool(policy, corpus, *written, replace(CHOICE, num_sources=9))
    assert {example.id for example in start.examples} == {f"train-{at}" for at in (3, 5, 7, 9)}
    assert "train-1" not in start.spreads


def test_of_references_it_is_not_asked_which_sources_speak(policy: Policy) -> None:
    with pytest.raises(ValueError, match="references earn nothing"):
        _ = references_of(policy, EXAMPLES[:2], seed=1).speaking_mask


def test_later_rounds_leave_silent_sources_out_and_can_be_resumed(
    policy: Policy, corpus: Corpus, pool: Callable[..., tuple[Path, Path]]
) -> None:
    start = start_from_pool(policy, corpus, *pool(speaking), CHOICE)
    writer = CandidateWriter(policy, LengthEvaluator(), STRATEGY, RolloutNeeds())
    plan = RoundPlan(num_rounds=6, sources_per_round=3, seed=1, silent=start.silent)

    def rounds(first: Rollout | None = start.rollout) -> CandidateRounds:
        return CandidateRounds(writer, corpus, first, plan)

    assert torch.equal(rounds()[0].tokens, start.rollout.tokens)
    assert rounds()[0].diagnostics == start.rollout.diagnostics
    through = rounds()
    seen = [through[index] for index in range(1, 6)]
    loud = {example.source for example in EXAMPLES if int(example.id[-1]) % 2}
    assert {source for rollout in seen for source in sources_of(rollout, policy)} <= loud
    assert torch.equal(rounds()[5].tokens, seen[4].tokens)
    assert not torch.equal(seen[0].sources.ids, seen[1].sources.ids)
    assert torch.equal(rounds(first=None)[0].sources.ids, seen[0].sources.ids)


def test_sources_of_a_length_come_together_before_a_rollout_is_cut() -> None:
    lengths = torch.tensor([[2, 9], [1, 1], [8, 3], [2, 1], [9, 1], [1, 2]])
    mask = torch.arange(9) < lengths.unsqueeze(2)
    ids = torch.arange(6).view(6, 1).expand(6, 4)
    rollout = Rollout(
        sources=Tokens(ids=ids, mask=torch.ones_like(ids, dtype=torch.bool)),
        tokens=ids[:, :2, None].expand(6, 2, 9).clone(),
        mask=mask,
        rewards=torch.arange(12.0).view(6, 2),
    )
    parts = list(rollout.by_length().cut(2 * 2 * 9))
    assert [part.sources.ids[:, 0].tolist() for part in parts] == [[1, 3, 5], [2, 0], [4]]
    assert [part.tokens.shape[2] for part in parts] == [2, 9, 9]
    assert [part.tokens.shape[2] for part in rollout.cut(2 * 2 * 9)] == [9, 8, 9]
    rewards = torch.cat([part.rewards for part in parts if part.rewards is not None])
    assert rewards[:, 0].tolist() == [2, 6, 10, 4, 0, 8]


class WatchedEvaluator(LengthEvaluator):
    """Says what it is asked to begin with, and when."""

    def __init__(self, *, reads_batch: bool, draws: bool) -> None:
        self.reads_batch = reads_batch
        self.draws = draws
        self.heard: list[str] = []

    def begin(self, samples: Sequence[Sample]) -> Callable[[], Scores]:
        self.heard.append(f"begin {len({sample.example.id for sample in samples})}")
        return super().begin(samples)


@pytest.mark.parametrize(
    ("reads_batch", "draws", "heard"),
    [
        (False, False, ["write 2", "begin 2", "write 3", "begin 3"]),
        (True, False, ["write 2", "write 3", "begin 5"]),
        (False, True, ["write 2", "write 3", "begin 5"]),
    ],
)
def test_what_is_written_is_scored_while_more_is_unless_it_is_to_be_seen_as_one(
    policy: Policy,
    reads_batch: bool,
    draws: bool,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator = WatchedEvaluator(reads_batch=reads_batch, draws=draws)
    writer = CandidateWriter(policy, evaluator, STRATEGY, RolloutNeeds())
    at_once = writer.write(EXAMPLES[:5], seed=1)
    evaluator.heard.clear()
    start = policy.start

    def watched(sources: Tokens, num_candidates: int, **told: bool) -> object:
        evaluator.heard.append(f"write {len(sources.ids)}")
        return start(sources, num_candidates, **told)

    monkeypatch.setattr(policy, "start", watched)
    policy.tokens_at_once = 100
    in_parts = writer.write(EXAMPLES[:5], seed=1)
    assert evaluator.heard == heard
    assert torch.equal(in_parts.tokens, at_once.tokens)
    assert at_once.rewards is not None
    assert torch.equal(in_parts.rewards, at_once.rewards)
    assert in_parts.diagnostics == pytest.approx(at_once.diagnostics)
