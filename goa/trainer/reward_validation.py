"""What the best policy of fine-tuning is chosen by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from goa.data.corpus import Corpus
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, FloatArray
from goa.policies.policy import Policy
from goa.rollouts.rewards import Rewards, begin_reward
from goa.trainer.contract import Validation
from goa.trainer.team import Team
from goa.trainer.validation import batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look at the validation split."""

    num_sources: int | None
    """How many of its first sources; None: all."""
    max_tokens: int
    """Of an output."""
    drops: bool = False
    """Whether outputs without a score are left out; else they are an error."""


class RewardValidation:
    """Mean reward of the greedy outputs, by one or several evaluators; the last one decides."""

    def __init__(
        self,
        policy: Policy,
        evaluators: Mapping[str, Evaluator],
        corpus: Corpus,
        look: Look,
        team: Team | None = None,
    ) -> None:
        """Set the validation up.

        Args:
            policy: looked at as it is when asked.
            evaluators: by the names that their means are to have.
            corpus: the validation split.
            look: how to look at it.
            team: the processes that share the work.
        """
        self.drops = look.drops
        self.policy = policy
        self.team = team or Team()
        self.evaluators = evaluators
        self.corpus = corpus
        self.num_sources = min(look.num_sources or len(corpus), len(corpus))
        self.strategy = GreedySettings(kind="greedy", max_tokens=look.max_tokens)

    def __call__(self) -> Validation:
        """Look at the validation split with the policy as it is now.

        Raises:
            EvaluatorError: an output, or every output where some may be left out, has no score.
        """
        num_evaluators = len(self.evaluators)
        totals, length = np.zeros(2 * num_evaluators), 0
        outputs: list[list[str]] = []
        scoring: list[Callable[[], Rewards]] = []
        for examples in batches(self.corpus, self.num_sources, self.team):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            keys = [example.id for example in examples]
            written = generate(self.policy, sources, self.strategy, 0, keys)
            length += int(written.mask.sum())
            outputs.append([text for (text,) in written.texts])
            # What was written before has been scored meanwhile.
            totals += _totals(scoring)
            scoring = [
                begin_reward(evaluator, examples, written.texts, drops=self.drops)
                for evaluator in self.evaluators.values()
            ]
        totals += _totals(scoring)
        *sums, whole_length = self.team.totals([*totals.tolist(), length])
        counts = sums[num_evaluators:]
        if not all(counts):
            raise EvaluatorError(
                "not one output of the validation split has a reward; look at the evaluator"
            )
        means = {
            name: total / count
            for name, total, count in zip(self.evaluators, sums, counts, strict=False)
        }
        values = means | {"validation_length": whole_length / self.num_sources}
        return Validation(
            score=list(means.values())[-1], values=values, outputs=self._in_order(outputs)
        )

    def _in_order(self, own: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """Join the batches of all processes, in the order of the sources."""
        shares = self.team.gather([own])
        turns = zip_longest(*shares, fillvalue=())  # each process takes every size-th batch
        return tuple(text for turn in turns for batch in turn for text in batch)


def _totals(scoring: Sequence[Callable[[], Rewards]]) -> FloatArray:
    """Sum the rewards of a batch by each evaluator, then count those there are: [2 E]."""
    if not scoring:
        return np.zeros(1)
    rewards = [np.array([row[0] for row in finish()[0]]) for finish in scoring]
    sums = [np.nansum(values) for values in rewards]
    return np.array([*sums, *(np.isfinite(values).sum() for values in rewards)])
