"""Rounds of candidates over a corpus."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from goa.arms import Control
from goa.data.corpus import Corpus
from goa.errors import DataError
from goa.randomness import Shuffle, derive_seed
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter
from goa.rollouts.controls import pay
from goa.rollouts.curriculum import Curriculum
from goa.rollouts.rollout import Rollout, join


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """How many rounds there are, of what size, and of which sources."""

    num_rounds: int
    """Rounds of the whole run, the one from the pool included."""
    sources_per_round: int
    """B of every round that is written afresh."""
    seed: int
    """Of the order of sources and of the draws."""
    silent: Collection[str] = ()
    """Ids of sources to leave out; not all of the corpus."""
    curriculum: Curriculum | None = None
    """Which sources come early; None: all from the start."""
    share: slice = field(default_factory=lambda: slice(None))
    """Which of a round's sources this process takes, where others take the rest."""
    replacements: int = 0
    """How often a round asks for other sources in the place of silent ones."""
    control: Control | None = None
    """What candidates are paid in a control arm; None: what the evaluator says."""


class Sources:
    """The examples of a corpus in random order, again and again, each time in another order."""

    def __init__(self, corpus: Corpus, plan: RoundPlan) -> None:
        self.corpus = corpus
        self.plan = plan
        self._round = 0
        self._examples = self._in_order()

    def take(self, index: int, num_sources: int) -> list[Example]:
        """Take the next sources for round ``index``.

        Raises:
            DataError: all sources that the round may draw from are silent.
        """
        self._round = index
        return list(itertools.islice(self._examples, num_sources))

    def _in_order(self) -> Iterator[Example]:
        for epoch in itertools.count():
            found = False
            order = Shuffle(len(self.corpus), self.plan.seed, "sources", epoch)
            for place in range(len(self.corpus)):
                position = int(order[place : place + 1][0])
                curriculum = self.plan.curriculum
                if curriculum is not None and not curriculum.allows(position, self._round):
                    continue
                (example,) = self.corpus.rows([position])
                if example.id not in self.plan.silent:
                    found = True
                    yield example
            if not found:
                raise DataError(
                    f"round {self._round + 1}: none of the sources it may draw from carries "
                    "signal; widen finetune.curriculum.start, or keep finetune.silent_sources"
                )


class CandidateRounds:
    """Rounds over a corpus in random order: the first from the pool, the others written afresh."""

    def __init__(
        self, writer: CandidateWriter, corpus: Corpus, first: Rollout | None, plan: RoundPlan
    ) -> None:
        """Set the rounds up.

        Args:
            writer: makes every round but the first.
            corpus: where sources come from.
            first: the first round, of candidates from the pool; None: it is written, too.
            plan: how many rounds, of what size, and of which sources.
        """
        self.writer = writer
        self.corpus = corpus
        self.first = first
        self.plan = plan
        self._sources = Sources(corpus, plan)
        self._next = 0 if first is None else 1

    def __len__(self) -> int:
        """Count the rounds of the whole run."""
        return self.plan.num_rounds

    def __getitem__(self, index: int) -> Rollout:
        """Make one round's rollout with the policy as it is now; indices may only go up."""
        if index == 0 and self.first is not None:
            own = self.first[self.plan.share]
            return self._paid(replace(own, diagnostics=self.first.diagnostics), index)
        examples = self.examples(index)
        rollout = self.writer.write(examples, derive_seed(self.plan.seed, "round", index), index)
        if self.plan.replacements:
            rollout = self._replace_silent(rollout, index)
        return self._paid(rollout, index)

    def _paid(self, rollout: Rollout, index: int) -> Rollout:
        """Give a round's candidates what they are to earn."""
        if self.plan.control is None:
            return rollout
        member = self.plan.share.start or 0
        return pay(rollout, self.plan.control, derive_seed(self.plan.seed, "paid", member), index)

    def examples(self, index: int) -> list[Example]:
        """Take this process's sources of one round; indices may only go up."""
        while self._next <= index:
            examples = self._sources.take(self._next, self.plan.sources_per_round)
            self._next += 1
        return examples[self.plan.share]

    def _replace_silent(self, rollout: Rollout, index: int) -> Rollout:
        """Write other sources in the place of those whose candidates all earned the same.

        Which ones follows from the round alone, so that a run that goes on sees the same (Yu et
        al., 2025, "DAPO", section 3.2, sample until there are enough; here so many times at most).
        """
        member = self.plan.share.start or 0
        seed = derive_seed(self.plan.seed, "replacements", index, member)
        plan = replace(self.plan, seed=seed)
        others = Sources(self.corpus, plan)
        kept, num_replaced = rollout[rollout.speaking_mask], 0
        for attempt in range(self.plan.replacements):
            lacking = len(rollout) - len(kept)
            if lacking == 0:
                break
            seed = derive_seed(plan.seed, "round", attempt)
            more = self.writer.write(others.take(index, lacking), seed, index)
            num_replaced += lacking
            kept = join([kept, more[more.speaking_mask]], self.writer.policy)
        diagnostics = {**rollout.diagnostics, "replaced_sources": float(num_replaced)}
        return replace(kept if len(kept) else rollout, diagnostics=diagnostics)
