"""How many n-grams texts share: exact counts for a whole batch at once.

The measures that count n-grams differ in what a token is and in what becomes of the counts; the
counting is the same, and most of the time. Here the n-grams of a batch are packed into integers
and sorted together; equal ones then stand side by side. References are counted once for all the
candidates of their example.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goa.evaluators.contract import FloatArray

IntArray = npt.NDArray[np.int64]

_BITS = 63
"""Of an integer that stays positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What N candidates share with their references, for n-grams of one order."""

    num_candidate: IntArray
    """[N], n-grams of the candidate."""
    num_reference: IntArray
    """[N, R], n-grams of each reference; 0 where there are fewer than R references."""
    num_common: FloatArray
    """[N, R], n-grams of the candidate that the reference has too, as often as both have them."""
    num_common_to_any: FloatArray
    """[N], the same against the union of all references, each n-gram as often as in the one that
    has it most often (what BLEU counts)."""


class Batch:
    """Texts whose n-grams are counted together; candidates are numbered through, group by group."""

    def __init__(
        self, tokens: IntArray, lengths: IntArray, groups: Sequence[tuple[int, int]]
    ) -> None:
        """Lay the texts out.

        Args:
            tokens: of all texts, one after the other, integers >= 0.
            lengths: of each text, in tokens.
            groups: how many references an example has, and how many candidates follow those.
        """
        references, candidates = np.array(groups, dtype=np.int64).reshape(-1, 2).T
        self._num_references = int(references.max(initial=0))
        self._num_sides = self._num_references + int(candidates.max(initial=0))
        self._num_candidates = int(candidates.sum())
        self._first_candidate = np.cumsum([0, *candidates])
        sizes = references + candidates
        self._group = np.repeat(np.arange(len(groups)), sizes)
        # Sides: references stand on the first R, candidates behind them.
        place = np.arange(len(lengths)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        own = references[self._group]
        self._written = place >= own
        self._side = place + np.where(self._written, self._num_references - own, 0)
        self._lengths = lengths
        self._tokens = ranks(tokens)
        self._owners = np.repeat(np.arange(len(lengths)), lengths)
        self._room = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))

    @property
    def candidate_lengths(self) -> IntArray:
        """[N], tokens of each candidate."""
        return np.asarray(self._lengths[self._written])

    @property
    def reference_lengths(self) -> IntArray:
        """[N, R], tokens of each reference of each candidate; -1 where there are fewer than R."""
        return self._of_references(self._lengths)

    def overlaps(self, max_order: int) -> Iterator[Overlap]:
        """Count n-grams of 1, 2, ... max_order tokens."""
        num_groups = len(self._first_candidate)
        num_tokens = int(self._tokens.max(initial=0)) + 1
        budget = _BITS - sum(map(_bits, (self._num_sides, num_groups, num_tokens)))
        grams, num_grams = np.zeros(len(self._tokens), dtype=np.int64), 1
        for order in range(1, max_order + 1):
            positions = np.flatnonzero(self._room >= order)
            if _bits(num_grams) > budget:
                grams[positions] = ranks(grams[positions])
                num_grams = int(grams[positions].max(initial=0)) + 1
            grams[positions] = grams[positions] * num_tokens + self._tokens[positions + order - 1]
            num_grams *= num_tokens
            yield self._count(grams[positions], num_grams, self._owners[positions], order)

    def _count(self, grams: IntArray, num_grams: int, owners: IntArray, order: int) -> Overlap:
        keys = (self._group[owners] * num_grams + grams) * self._num_sides + self._side[owners]
        keys.sort()
        starts, counts = _runs(keys)
        places, sides = np.divmod(keys[starts], self._num_sides)
        firsts, spans = _runs(places)
        ngrams = np.repeat(np.arange(len(firsts)), spans)  # numbers those of each group
        written = sides >= self._num_references
        times, here = counts[written], ngrams[written]
        candidates = self._first_candidate[places[written] // num_grams]
        candidates += sides[written] - self._num_references
        most = np.zeros(len(firsts), dtype=np.int64)
        num_common = np.zeros((self._num_candidates, self._num_references))
        for reference in range(self._num_references):
            found = np.zeros_like(most)
            mine = sides == reference
            found[ngrams[mine]] = counts[mine]
            np.maximum(most, found, out=most)
            num_common[:, reference] = self._sum(candidates, np.minimum(times, found[here]))
        num_ngrams = np.maximum(self._lengths - order + 1, 0)
        return Overlap(
            num_candidate=num_ngrams[self._written],
            num_reference=np.maximum(self._of_references(num_ngrams), 0),
            num_common=num_common,
            num_common_to_any=self._sum(candidates, np.minimum(times, most[here])),
        )

    def _sum(self, candidates: IntArray, counts: IntArray) -> FloatArray:
        sums = np.bincount(candidates, weights=counts, minlength=self._num_candidates)
        return sums.astype(np.float64, copy=False)

    def _of_references(self, values: IntArray) -> IntArray:
        """Lay one value a text out as one a candidate and reference, [N, R]; -1 for none."""
        table = np.full((len(self._first_candidate), self._num_references), -1)
        read = ~self._written
        table[self._group[read], self._side[read]] = values[read]
        return np.asarray(table[self._group[self._written]])


def ranks(values: IntArray) -> IntArray:
    """Give equal values equal numbers 0, 1, ... without gaps, in the order of the values."""
    largest = int(values.max(initial=0))
    if largest > max(1 << 16, 4 * len(values)):
        return np.asarray(np.unique(values, return_inverse=True)[1])
    present = np.zeros(largest + 1, dtype=np.int64)
    present[values] = 1
    return np.asarray((np.cumsum(present) - 1)[values])


def _runs(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Find where runs of equal sorted keys start, and how long they are."""
    changes = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts = np.concatenate([np.zeros(min(len(keys), 1), dtype=np.int64), changes])
    return starts, np.diff(starts, append=len(keys))


def _bits(count: int) -> int:
    """How many bits numbers below ``count`` take."""
    return max(count - 1, 0).bit_length()
