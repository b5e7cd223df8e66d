"""What the best policy of a run is chosen by."""

from collections.abc import Iterator

import torch

from goa.data.corpus import Corpus
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.candidates import reward
from goa.trainer.loop import Validation

SOURCES_PER_BATCH = 64


class LikelihoodValidation:
    """Negative log-likelihood per token, in nats, of the first reference of each source."""

    def __init__(self, policy: Policy, corpus: Corpus, num_sources: int | None) -> None:
        self.policy = policy
        self.corpus = corpus
        self.num_sources = min(num_sources or len(corpus), len(corpus))

    @torch.no_grad()
    def __call__(self) -> Validation:
        """Look at the validation split with the policy as it is now."""
        log_prob, num_tokens = 0.0, 0
        for examples in _batches(self.corpus, self.num_sources):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            references = [example.references[0] for example in examples]
            targets = self.policy.pad_targets(self.policy.tokenize_targets(references))
            ids, mask = targets.ids.unsqueeze(1), targets.mask.unsqueeze(1)
            log_prob += float(self.policy.score(sources, ids, mask).log_probs.sum())
            num_tokens += int(mask.sum())
        loss = -log_prob / num_tokens
        return Validation(score=-loss, values={"validation_loss": loss})


class RewardValidation:
    """Mean reward of the greedy outputs."""

    def __init__(
        self,
        policy: Policy,
        evaluator: Evaluator,
        corpus: Corpus,
        num_sources: int | None,
        max_tokens: int,
    ) -> None:
        self.policy = policy
        self.evaluator = evaluator
        self.corpus = corpus
        self.num_sources = min(num_sources or len(corpus), len(corpus))
        self.strategy = GreedySettings(kind="greedy", max_tokens=max_tokens)

    def __call__(self) -> Validation:
        """Look at the validation split with the policy as it is now."""
        total, length = 0.0, 0
        for examples in _batches(self.corpus, self.num_sources):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            keys = [example.id for example in examples]
            written = generate(self.policy, sources, self.strategy, 0, keys)
            rewards, _ = reward(self.evaluator, examples, written.texts)
            total += sum(row[0] for row in rewards)
            length += int(written.mask.sum())
        mean = total / self.num_sources
        values = {"validation_reward": mean, "validation_length": length / self.num_sources}
        return Validation(score=mean, values=values)


def _batches(corpus: Corpus, num_sources: int) -> Iterator[list[Example]]:
    for start in range(0, num_sources, SOURCES_PER_BATCH):
        yield corpus.rows(list(range(start, min(start + SOURCES_PER_BATCH, num_sources))))
