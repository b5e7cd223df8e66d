"""Whether policies differ, by exchanging their outputs: paired approximate randomisation.

If two policies are no different, it is chance which of them wrote which of the two outputs of an
example. A trial exchanges the outputs of about half of the examples, and asks whether the scores
are then further apart than they really are (Noreen, 1989; Riezler and Maxwell, 2005). No text is
scored for it: a trial moves ``swaps @ (second - first)`` from one sum of statistics to the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from goa.errors import DataError
from goa.evaluation.bootstrap import CHUNK_WEIGHTS, score_joined
from goa.evaluators.contract import FloatArray, Metric
from goa.randomness import generator

Statistics = Sequence[FloatArray]
"""Of one policy's outputs: each metric's, [N, D]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomisation:
    """Trials, fixed by seed, number of trials and number of examples."""

    seed: int
    """Base seed; equal seeds give equal trials, in every stage and process."""
    trials: int = 1000
    """R."""

    def differences(
        self, metrics: Sequence[Metric], pairs: Sequence[tuple[Statistics, Statistics]]
    ) -> list[FloatArray]:
        """Give the difference of scores that each trial leaves, mean over the pairs: each [R].

        All metrics see the same trials. So do all pairs: with several seeds, what was written for
        an example is exchanged in every pair or in none.

        Raises:
            DataError: there are no examples.
        """
        firsts, seconds = (
            np.stack([np.concatenate(pair[side], axis=1) for pair in pairs]) for side in (0, 1)
        )
        gaps = seconds - firsts
        moved = np.concatenate([swaps @ gaps for swaps in self.swaps(gaps.shape[1])], axis=1)
        ours, theirs = (
            score_joined(metrics, whole.sum(axis=1, keepdims=True) + change, pairs[0][0])
            for whole, change in ((firsts, moved), (seconds, -moved))
        )
        return [np.mean(one - other, axis=0) for one, other in zip(ours, theirs, strict=True)]

    def swaps(self, num_examples: int) -> Iterator[FloatArray]:
        """Draw which examples are exchanged, 1, and which are not, 0: [R, N] in chunks of rows.

        Raises:
            DataError: there are no examples.
        """
        if not num_examples:
            raise DataError("nothing to exchange: the set of outputs is empty")
        rng = generator(self.seed, "randomisation")
        chunk = max(1, CHUNK_WEIGHTS // num_examples)
        for start in range(0, self.trials, chunk):
            num_rows = min(chunk, self.trials - start)
            yield rng.integers(2, size=(num_rows, num_examples)).astype(np.float64)


def exchanged_p_value(differences: FloatArray, difference: float) -> float:
    """Test whether two policies differ, from the differences that R trials leave.

    ``(c + 1) / (R + 1)``, where c trials leave more than the real difference, either way: the
    two-sided test in the form that sacrebleu's ``--paired-ar`` gives it.

    Departure: 1.0, not ``1 / (R + 1)``, where no trial leaves any difference, and nan where the
    real one is not a number. Trials without a number are left out.
    """
    apart = np.abs(differences[np.isfinite(differences)])
    if not apart.size or not np.isfinite(difference):
        return float("nan")
    if not apart.any():
        return 1.0
    return (int(np.sum(apart > abs(difference))) + 1) / (apart.size + 1)
