"""Rounds of fresh candidates: generate, score."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch

from goa.data.corpus import Corpus
from goa.decoding.generation import GREEDY, Candidates, generate
from goa.decoding.settings import SampleSettings
from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, checked_score
from goa.policies.policy import Policy
from goa.randomness import Shuffle, derive_seed
from goa.records import Example, Sample
from goa.rollouts.references import references_of
from goa.rollouts.rollout import Rollout

BLOCK = 256
"""Examples read at a time."""


class CandidateWriter:
    """Makes rollouts: a policy writes K candidates per source, an evaluator scores them."""

    def __init__(
        self,
        policy: Policy,
        evaluator: Evaluator,
        strategy: SampleSettings,
        *,
        with_greedy: bool,
        with_references: bool,
    ) -> None:
        self.policy = policy
        self.evaluator = evaluator
        self.strategy = strategy
        self.with_greedy = with_greedy
        self.with_references = with_references

    def write(self, examples: Sequence[Example], seed: int) -> Rollout:
        """Write and score candidates for B examples, with the policy as it is now.

        Raises:
            EvaluatorError: the evaluator does not apply to a candidate, or broke its contract.
        """
        sources = self.policy.tokenize_sources([example.source for example in examples])
        keys = [example.id for example in examples]
        candidates = generate(self.policy, sources, self.strategy, seed, keys)
        rewards, parts = reward(self.evaluator, examples, candidates.texts)
        greedy_rewards = None
        if self.with_greedy:
            longest = self.strategy.max_tokens
            strategy = GREEDY.model_copy(update={"max_tokens": longest})
            greedy = generate(self.policy, sources, strategy, seed, keys)
            scores, _ = reward(self.evaluator, examples, greedy.texts)
            greedy_rewards = torch.tensor(scores, device=self.policy.device).squeeze(1)
        reward_tensor = torch.tensor(rewards, device=self.policy.device)
        return Rollout(
            sources=sources,
            tokens=candidates.tokens,
            mask=candidates.mask,
            log_probs=candidates.log_probs,
            rewards=reward_tensor,
            greedy_rewards=greedy_rewards,
            references=references_of(self.policy, examples, seed) if self.with_references else None,
            diagnostics=parts | _describe(candidates) | describe_rewards(reward_tensor),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """How many rounds there are, and of what size."""

    num_rounds: int
    """Rounds of the whole run, the one from the pool included."""
    sources_per_round: int
    """B of every round that is written afresh."""
    seed: int
    """Of the order of sources and of the draws."""


class CandidateRounds:
    """Rounds over a corpus in random order: the first from the pool, the others written afresh."""

    def __init__(
        self,
        writer: CandidateWriter,
        corpus: Corpus,
        first: Rollout,
        silent: Collection[str],
        plan: RoundPlan,
    ) -> None:
        """Set the rounds up.

        Args:
            writer: makes every round but the first.
            corpus: where sources come from.
            first: the first round, of candidates from the pool.
            silent: ids of sources to leave out; not all of the corpus.
            plan: how many rounds, and of what size.
        """
        self.writer = writer
        self.corpus = corpus
        self.first = first
        self.silent = silent
        self.plan = plan
        self._examples = self._in_order()
        self._next = 1

    def __len__(self) -> int:
        """Count the rounds of the whole run."""
        return self.plan.num_rounds

    def __getitem__(self, index: int) -> Rollout:
        """Make one round's rollout with the policy as it is now; indices may only go up."""
        if index == 0:
            return self.first
        while self._next < index:
            self._take()
        return self.writer.write(self._take(), derive_seed(self.plan.seed, "round", index))

    def _take(self) -> list[Example]:
        self._next += 1
        return list(itertools.islice(self._examples, self.plan.sources_per_round))

    def _in_order(self) -> Iterator[Example]:
        """Go through the corpus again and again, each time in another order."""
        for epoch in itertools.count():
            order = Shuffle(len(self.corpus), self.plan.seed, "sources", epoch)
            for start in range(0, len(self.corpus), BLOCK):
                for example in self.corpus.rows(order[start : start + BLOCK].tolist()):
                    if example.id not in self.silent:
                        yield example


def reward(
    evaluator: Evaluator, examples: Sequence[Example], texts: Sequence[Sequence[str]]
) -> tuple[list[list[float]], dict[str, float]]:
    """Score [B][K] texts; return rewards [B][K] and the mean of every part.

    Raises:
        EvaluatorError: the evaluator has no score for a candidate.
    """
    samples = [
        Sample(example=example, candidate=text)
        for example, row in zip(examples, texts, strict=True)
        for text in row
    ]
    scores = checked_score(evaluator, samples)
    values = []
    for sample, value in zip(samples, scores.values, strict=True):
        if value is None:
            raise EvaluatorError(
                f"{evaluator.name}: no score for {sample.candidate!r} "
                f"(example {sample.example.id}), so it cannot be a reward"
            )
        values.append(value)
    rows = iter(values)
    rewards = [[next(rows) for _ in row] for row in texts]
    parts = {
        f"reward.{name}": sum(known) / len(known)
        for name, column in scores.parts.items()
        if (known := [value for value in column if value is not None])
    }
    return rewards, parts


def describe_rewards(rewards: torch.Tensor) -> dict[str, float]:
    """Summarise rewards [B, K]: mean, spread within a source, share of sources without signal."""
    spread = rewards.std(dim=1, correction=0)
    return {
        "reward": float(rewards.mean()),
        "reward_spread": float(spread.mean()),
        "silent_share": float((rewards.amax(dim=1) == rewards.amin(dim=1)).float().mean()),
    }


def _describe(candidates: Candidates) -> dict[str, float]:
    """Summarise what was written: length in tokens, share of distinct candidates and bigrams."""
    words = [text.split() for row in candidates.texts for text in row]
    bigrams = [pair for row in words for pair in itertools.pairwise(row)]
    distinct = [len(set(row)) / len(row) for row in candidates.texts]
    return {
        "length": float(candidates.mask.sum(dim=-1).float().mean()),
        "distinct_candidates": sum(distinct) / len(distinct),
        "distinct_2": len(set(bigrams)) / max(1, len(bigrams)),
    }
