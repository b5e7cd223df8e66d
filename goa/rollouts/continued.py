"""Rounds of references that go beside rounds of candidates."""

from collections.abc import Sequence

from goa.randomness import derive_seed
from goa.records import Example
from goa.rollouts.references import references_of
from goa.rollouts.rollout import Rollout
from goa.rollouts.rounds import CandidateRounds


class ContinuedReferences:
    """References of the very sources that fine-tuning takes, round by round, one of each."""

    def __init__(self, rounds: CandidateRounds, first: Sequence[Example] | None) -> None:
        """Set the rounds up.

        Args:
            rounds: where sources come from; nothing is written.
            first: the sources of the first round, where they come from the pool.
        """
        self.rounds = rounds
        self.first = first

    def __len__(self) -> int:
        """Count the rounds of the whole run."""
        return len(self.rounds)

    def __getitem__(self, index: int) -> Rollout:
        """Lay out one round's references, [B, 1, T]; indices may only go up."""
        plan = self.rounds.plan
        if index == 0 and self.first is not None:
            examples = list(self.first)[plan.share]
        else:
            examples = self.rounds.examples(index)
        return references_of(
            self.rounds.writer.policy, examples, derive_seed(plan.seed, "round", index)
        )
