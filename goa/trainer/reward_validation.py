"""What the best policy of fine-tuning is chosen by."""

from goa.data.corpus import Corpus
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.rollouts.rewards import reward
from goa.trainer.loop import Validation
from goa.trainer.validation import batches


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
        for examples in batches(self.corpus, self.num_sources):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            keys = [example.id for example in examples]
            written = generate(self.policy, sources, self.strategy, 0, keys)
            rewards, _ = reward(self.evaluator, examples, written.texts)
            total += sum(row[0] for row in rewards)
            length += int(written.mask.sum())
        mean = total / self.num_sources
        values = {"validation_reward": mean, "validation_length": length / self.num_sources}
        return Validation(score=mean, values=values)
