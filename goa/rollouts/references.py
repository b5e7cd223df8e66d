"""Rounds of references: what maximum likelihood learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goa.data.corpus import Corpus
from goa.policies.policy import Policy
from goa.randomness import Shuffle, generator
from goa.records import Example
from goa.rollouts.rollout import Rollout

ROUNDS_PER_BLOCK = 32
"""Pairs are sorted by length within blocks of this many rounds, so that little is padding."""


Pair = tuple[list[int], list[int]]
"""Ids of a source and of one of its references."""


def references_of(policy: Policy, examples: Sequence[Example], seed: int) -> Rollout:
    """Lay out one reference of each example, [B, 1, T]; which one follows from seed and id."""
    generators = [generator(seed, "reference", example.id) for example in examples]
    return _lay_out(policy, _tokenize(policy, examples, generators))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePlan:
    """How often the corpus is gone through, and in rounds of what size."""

    sources_per_round: int
    """B; the last round of an epoch has between half and one and a half times as many."""
    epochs: int
    """Passes over the corpus."""
    seed: int
    """Of the order of sources, and of which reference is taken."""


class ReferenceRounds:
    """Passes over a corpus in random order, one reference of each source a pass.

    Everything follows from the seed and the round's index: memory does not grow with the corpus,
    and a run that goes on in the middle of an epoch sees what it would have seen.
    """

    def __init__(
        self,
        policy: Policy,
        corpus: Corpus,
        plan: ReferencePlan,
        share: slice = slice(None),
    ) -> None:
        """Set the rounds up.

        Args:
            policy: tokenizes.
            corpus: sources with their references.
            plan: size and number of the passes.
            share: which of a round's sources this process takes, where others take the rest.
        """
        self.policy = policy
        self.corpus = corpus
        self.size = plan.sources_per_round
        self.epochs = plan.epochs
        self.seed = plan.seed
        self.share = share
        self.rounds_per_epoch = max(1, (len(corpus) + self.size // 2) // self.size)
        self._block: tuple[tuple[int, int], list[list[Pair]]] | None = None

    def __len__(self) -> int:
        """Count the rounds of all epochs."""
        return self.epochs * self.rounds_per_epoch

    def __getitem__(self, index: int) -> Rollout:
        """Lay out the sources of one round with one of their references each, [B, 1, T]."""
        epoch, turn = divmod(index, self.rounds_per_epoch)
        block, place = divmod(turn, ROUNDS_PER_BLOCK)
        if self._block is None or self._block[0] != (epoch, block):
            self._block = ((epoch, block), self._batches(epoch, block))
        return _lay_out(self.policy, self._block[1][place][self.share])

    def _batches(self, epoch: int, block: int) -> list[list[Pair]]:
        """Cut one block of an epoch's order into batches of similar length, in random order.

        What is left of an epoch, if it is less than half a batch, goes to the one before: a step
        on a few sources is mostly noise, and more processes than sources would have nothing to do.
        """
        first = block * ROUNDS_PER_BLOCK
        num_batches = min(ROUNDS_PER_BLOCK, self.rounds_per_epoch - first)
        is_last = first + num_batches == self.rounds_per_epoch
        end = len(self.corpus) if is_last else (first + num_batches) * self.size
        pairs = self._pairs(epoch, block, slice(first * self.size, end))
        # By the longer side first: then neither side has much padding.
        pairs.sort(key=lambda pair: (max(map(len, pair)), len(pair[1])))
        starts = [place * self.size for place in range(num_batches)]
        batches = [pairs[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
        order = generator(self.seed, "batches", epoch, block).permutation(len(batches))
        return [batches[place] for place in order]

    def _pairs(self, epoch: int, block: int, span: slice) -> list[Pair]:
        order = Shuffle(len(self.corpus), self.seed, "epoch", epoch)
        examples = self.corpus.rows(order[span].tolist())
        choose = generator(self.seed, "reference", epoch, block)
        return _tokenize(self.policy, examples, [choose] * len(examples))


def _tokenize(
    policy: Policy, examples: Sequence[Example], generators: Sequence[np.random.Generator]
) -> list[Pair]:
    """Tokenize sources, each with the reference that its generator chooses."""
    references = [
        example.references[choose.integers(len(example.references))]
        for example, choose in zip(examples, generators, strict=True)
    ]
    sources = policy.source_ids([example.source for example in examples])
    return list(zip(sources, policy.target_ids(references), strict=True))


def _lay_out(policy: Policy, pairs: Sequence[Pair]) -> Rollout:
    """Lay pairs out as a padded batch, [B, S] and [B, 1, T]."""
    targets = policy.pad([target for _, target in pairs])
    return Rollout(
        sources=policy.pad_sources([source for source, _ in pairs]),
        tokens=targets.ids.unsqueeze(1),
        mask=targets.mask.unsqueeze(1),
    )
