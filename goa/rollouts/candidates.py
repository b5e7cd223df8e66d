"""Candidates: generate, score."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from goa.data.noise import SourceNoiseSettings, noised
from goa.decoding.generation import (
    GREEDY,
    Candidates,
    generate,
    generate_in_batches,
    put_together,
)
from goa.decoding.settings import StrategySettings
from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator
from goa.evaluators.learning import LearningEvaluator
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.randomness import generator
from goa.records import Example, Sample
from goa.rollouts.credits import reward_gains
from goa.rollouts.references import references_of
from goa.rollouts.rewards import Scoring, describe_rewards, reward
from goa.rollouts.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutNeeds:
    """What a rollout is to hold besides candidates, log-probs and rewards."""

    greedy: bool = False
    """Rewards of the policy's greedy outputs."""
    references: bool = False
    """A reference of each source, beside its candidates."""
    reference_among_candidates: bool = False
    """The same reference as the last candidate."""
    credits: bool = False
    """What each token earned."""
    prefix_share: Callable[[int], float] | None = None
    """Share of the reference's tokens that candidates begin with, by round."""
    drops: bool = False
    """Whether sources are left out for which something cannot be scored; else that is an error."""
    noise: SourceNoiseSettings | None = None
    """What is wrong in some of the sources that the policy reads; evaluators see them as they
    were."""


class CandidateWriter:
    """Makes rollouts: a policy writes K candidates per source, an evaluator scores them."""

    def __init__(
        self,
        policy: Policy,
        evaluator: Evaluator,
        strategy: StrategySettings,
        needs: RolloutNeeds,
    ) -> None:
        self.policy = policy
        self.evaluator = evaluator
        self.strategy = strategy
        self.needs = needs
        self._learnt = 0

    def write(self, examples: Sequence[Example], seed: int, index: int = 0) -> Rollout:
        """Write and score candidates for B examples, with the policy as it is now.

        Args:
            examples: the sources with their references.
            seed: of the draws, and of which reference is taken.
            index: the round.

        Raises:
            EvaluatorError: the evaluator does not apply to a candidate, or broke its contract; or,
                where such sources are left out, none is left.
        """
        sources = self.policy.tokenize_sources(self._as_read(examples, seed))
        keys = [example.id for example in examples]
        prefixes = self._prefixes(examples, seed, index)
        scoring = Scoring(self.evaluator, examples, drops=self.needs.drops)
        in_parts = not (self.evaluator.reads_batch or self.evaluator.draws or self._due(index))
        batches = []
        for rows, batch in generate_in_batches(
            self.policy, sources, self.strategy, seed, keys, prefixes
        ):
            batches.append((rows, batch))
            if in_parts:  # so that processes which score have work while the next is written
                scoring.begin(rows.tolist(), batch.texts)
        candidates = put_together(batches, self.policy.pad_id)
        learnt = self._learn(examples, candidates, seed, index)
        if not in_parts:
            scoring.begin(range(len(examples)), candidates.texts)
        greedy_rewards = self._greedy_rewards(examples, sources) if self.needs.greedy else None
        rewards, parts = scoring.finish()
        reward_tensor = torch.tensor(rewards, device=self.policy.device)
        rollout = Rollout(
            sources=sources,
            tokens=candidates.tokens,
            mask=candidates.mask,
            log_probs=candidates.log_probs,
            rewards=reward_tensor,
            greedy_rewards=greedy_rewards,
            prefix_mask=None if prefixes is None else _covered(prefixes, candidates.mask),
            diagnostics=parts | learnt | _describe(candidates) | describe_rewards(reward_tensor),
        )
        return self.complete(rollout, examples, seed)

    def _learn(
        self, examples: Sequence[Example], candidates: Candidates, seed: int, index: int
    ) -> dict[str, float]:
        """Let evaluators that are due learn from what was written; say how well, once a round."""
        due = self._due(index)
        self._learnt = max(self._learnt, index)
        samples = [
            Sample(example=example, candidate=text)
            for example, row in zip(examples, candidates.texts, strict=True)
            for text in row
        ]
        return {
            f"{learner.name}.{name}": value
            for learner in due
            for name, value in learner.learn(samples, seed, anew=False).items()
        }

    def _due(self, index: int) -> list[LearningEvaluator]:
        """List the evaluators that are to learn from a round's candidates, unless they have."""
        return [
            learner
            for learner in self.evaluator.learners()
            if index > self._learnt and learner.refit_every and index % learner.refit_every == 0
        ]

    def _as_read(self, examples: Sequence[Example], seed: int) -> list[str]:
        """Give the sources as the policy reads them, some of them noised."""
        if self.needs.noise is None:
            return [example.source for example in examples]
        read = noised(examples, self.needs.noise, seed)
        share = self.needs.noise.share
        return [
            (spoilt if generator(seed, "noised", spoilt.id).random() < share else clean).source
            for clean, spoilt in zip(examples, read, strict=True)
        ]

    def complete(self, rollout: Rollout, examples: Sequence[Example], seed: int) -> Rollout:
        """Add what is needed besides to candidates with their rewards, from wherever they come.

        Raises:
            EvaluatorError: the evaluator does not apply to a reference or to a prefix.
        """
        if self.needs.references or self.needs.reference_among_candidates:
            references = replace(
                references_of(self.policy, examples, seed), sources=rollout.sources
            )
            if self.needs.reference_among_candidates:
                rollout = _join(rollout, self._scored(references, examples))
            if self.needs.references:
                rollout = replace(rollout, references=references)
        if self.needs.credits:
            gains = reward_gains(
                self.policy, self.evaluator, examples, rollout, drops=self.needs.drops
            )
            rollout = replace(rollout, credits=gains)
        return self._scored_part(rollout) if self.needs.drops else rollout

    def _scored_part(self, rollout: Rollout) -> Rollout:
        """Leave out the sources for which something has no reward, and count them."""
        scored = rollout.scored_mask
        if not scored.any():
            raise EvaluatorError(
                f"evaluator {self.evaluator.name}: not one of {len(rollout)} sources could be "
                "scored whole; look at the evaluator"
            )
        dropped = {"dropped_sources": float((~scored).sum())}
        return replace(rollout[scored], diagnostics={**rollout.diagnostics, **dropped})

    def _greedy_rewards(self, examples: Sequence[Example], sources: Tokens) -> Tensor:
        """Score the policy's greedy outputs, [B]."""
        strategy = GREEDY.model_copy(update={"max_tokens": self.strategy.max_tokens})
        greedy = generate(self.policy, sources, strategy, 0, [example.id for example in examples])
        rewards, _ = reward(self.evaluator, examples, greedy.texts, drops=self.needs.drops)
        return torch.tensor(rewards, device=self.policy.device).squeeze(1)

    def _prefixes(self, examples: Sequence[Example], seed: int, index: int) -> Tokens | None:
        """Cut the beginnings of references that candidates are given, [B, P]."""
        if self.needs.prefix_share is None:
            return None
        share = self.needs.prefix_share(index)
        references = references_of(self.policy, examples, seed)
        lengths = (share * references.mask.sum(dim=-1)).long()
        columns = torch.arange(references.tokens.shape[-1], device=self.policy.device)
        return Tokens(ids=references.tokens[:, 0], mask=columns < lengths)

    @torch.no_grad()
    def _scored(self, references: Rollout, examples: Sequence[Example]) -> Rollout:
        """Give references rewards and log-probs, as candidates have them."""
        ids = zip(references.tokens[:, 0].tolist(), references.mask[:, 0].tolist(), strict=True)
        texts = self.policy.texts([list(itertools.compress(row, mask)) for row, mask in ids])
        each = [[text] for text in texts]
        rewards, _ = reward(self.evaluator, examples, each, drops=self.needs.drops)
        scores = self.policy.score(references.sources, references.tokens, references.mask)
        return replace(
            references,
            log_probs=scores.log_probs,
            rewards=torch.tensor(rewards, device=self.policy.device),
        )


def _covered(prefixes: Tokens, mask: Tensor) -> Tensor:
    """Say of each token of the candidates, [B, K, T], whether it was given."""
    width = mask.shape[-1]
    given = pad(prefixes.mask, (0, max(0, width - prefixes.mask.shape[1])))[:, :width]
    return given.unsqueeze(1) & mask


def _join(rollout: Rollout, more: Rollout) -> Rollout:
    """Put further candidates, with log-probs and rewards, behind those of the same sources."""
    width = max(rollout.tokens.shape[-1], more.tokens.shape[-1])

    def behind(first: Tensor | None, second: Tensor | None) -> Tensor:
        assert first is not None
        assert second is not None
        parts = [pad(part, (0, width - part.shape[-1])) for part in (first, second)]
        return torch.cat(parts, dim=1)

    assert rollout.rewards is not None
    assert more.rewards is not None
    return replace(
        rollout,
        tokens=behind(rollout.tokens, more.tokens),
        mask=behind(rollout.mask, more.mask),
        log_probs=behind(rollout.log_probs, more.log_probs),
        rewards=torch.cat([rollout.rewards, more.rewards.to(rollout.rewards)], dim=1),
    )


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
