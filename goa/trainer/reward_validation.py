"""What the best policy of fine-tuning is chosen by."""

from collections.abc import Mapping

from goa.data.corpus import Corpus
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.rollouts.rewards import reward
from goa.trainer.contract import Validation
from goa.trainer.team import Team
from goa.trainer.validation import batches


class RewardValidation:
    """Mean reward of the greedy outputs, by one or several evaluators; the last one decides."""

    def __init__(
        self,
        policy: Policy,
        evaluators: Mapping[str, Evaluator],
        corpus: Corpus,
        num_sources: int | None,
        max_tokens: int,
        team: Team | None = None,
    ) -> None:
        self.policy = policy
        self.team = team or Team()
        self.evaluators = evaluators
        self.corpus = corpus
        self.num_sources = min(num_sources or len(corpus), len(corpus))
        self.strategy = GreedySettings(kind="greedy", max_tokens=max_tokens)

    def __call__(self) -> Validation:
        """Look at the validation split with the policy as it is now."""
        totals, length = dict.fromkeys(self.evaluators, 0.0), 0
        for examples in batches(self.corpus, self.num_sources, self.team):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            keys = [example.id for example in examples]
            written = generate(self.policy, sources, self.strategy, 0, keys)
            for name, evaluator in self.evaluators.items():
                rewards, _ = reward(evaluator, examples, written.texts)
                totals[name] += sum(row[0] for row in rewards)
            length += int(written.mask.sum())
        *sums, whole_length = self.team.totals([*totals.values(), length])
        means = {name: total / self.num_sources for name, total in zip(totals, sums, strict=True)}
        values = means | {"validation_length": whole_length / self.num_sources}
        return Validation(score=list(means.values())[-1], values=values)
