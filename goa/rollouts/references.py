"""Rounds of references: what maximum likelihood learns from."""

import numpy as np
import numpy.typing as npt

from goa.data.corpus import Corpus
from goa.policies.policy import Policy
from goa.randomness import Shuffle, generator
from goa.rollouts.rollout import Rollout

ROUNDS_PER_BLOCK = 32
"""Sources are sorted by length within blocks of this many rounds, so that little is padding."""


class ReferenceRounds:
    """Passes over a corpus in random order, one reference of each source a pass.

    Everything follows from the seed and the round's index: memory does not grow with the corpus,
    and a run that goes on in the middle of an epoch sees what it would have seen.
    """

    def __init__(self, policy: Policy, corpus: Corpus, size: int, epochs: int, seed: int) -> None:
        self.policy = policy
        self.corpus = corpus
        self.size = size
        self.epochs = epochs
        self.seed = seed
        self.rounds_per_epoch = -(-len(corpus) // size)
        self._block: tuple[tuple[int, int], list[npt.NDArray[np.int64]]] | None = None

    def __len__(self) -> int:
        """Count the rounds of all epochs."""
        return self.epochs * self.rounds_per_epoch

    def __getitem__(self, index: int) -> Rollout:
        """Tokenize the sources of one round with one of their references each, [B, 1, T]."""
        epoch, turn = divmod(index, self.rounds_per_epoch)
        block, place = divmod(turn, ROUNDS_PER_BLOCK)
        examples = self.corpus.rows(self._batches(epoch, block)[place].tolist())
        choose = generator(self.seed, "reference", index)
        references = [
            example.references[choose.integers(len(example.references))] for example in examples
        ]
        targets = self.policy.pad_targets(self.policy.tokenize_targets(references))
        return Rollout(
            sources=self.policy.tokenize_sources([example.source for example in examples]),
            tokens=targets.ids.unsqueeze(1),
            mask=targets.mask.unsqueeze(1),
        )

    def _batches(self, epoch: int, block: int) -> list[npt.NDArray[np.int64]]:
        """Cut one block of an epoch's order into batches of similar length, in random order."""
        if self._block is not None and self._block[0] == (epoch, block):
            return self._block[1]
        span = ROUNDS_PER_BLOCK * self.size
        order = Shuffle(len(self.corpus), self.seed, "epoch", epoch)
        indices = order[block * span : (block + 1) * span]
        by_length = indices[np.argsort(self.corpus.lengths(indices.tolist()), kind="stable")]
        batches = [
            by_length[start : start + self.size] for start in range(0, len(by_length), self.size)
        ]
        turns = generator(self.seed, "batches", epoch, block).permutation(len(batches))
        self._block = ((epoch, block), [batches[turn] for turn in turns])
        return self._block[1]
