"""Choosing among candidates: the best of N by a score, and minimum Bayes risk."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from goa.decoding.generation import Candidates
from goa.decoding.settings import BestOfSettings, ChoosingSettings
from goa.records import Example, Sample

Judge = Callable[[Sequence[Sample]], Sequence[float | None]]
"""N samples -> N scores in [0, 1], higher is better; None where there is none."""
Values = list[list[float | None]]
"""[B][K], higher is better; None comes last."""

CERTAIN = 1e-9
"""Scores nearer than this to 0 or 1 have the log-odds of this, since their own know no bound."""


def choose(
    candidates: Candidates, examples: Sequence[Example], strategy: ChoosingSettings, judge: Judge
) -> list[int]:
    """Choose one of the K candidates of each of B examples, [B]; of equally good ones the first.

    The judge is asked once, and never sees the examples' references.
    """
    if isinstance(strategy, BestOfSettings):
        log_probs = candidates.log_probs.sum(dim=-1, dtype=torch.float64).tolist()
        values = preferences(examples, candidates.texts, judge, log_probs, strategy.log_prob_weight)
    else:
        values = expected_utilities(examples, candidates.texts, judge)
    return [row.index(max(row, key=_none_last)) for row in values]


def preferences(
    examples: Sequence[Example],
    texts: Sequence[Sequence[str]],
    judge: Judge,
    log_probs: Sequence[Sequence[float]],
    log_prob_weight: float,
) -> Values:
    """Give each candidate its score s; with a weight w above 0 ``log(s / (1 - s)) + w log p(y|x)``.

    Of an energy, whose log-odds are -E, the highest s is the greedy form of what resamples draws
    of the policy p_0 by ``exp(-E)`` (Deng et al., 2020), and w = 1 gives the candidate that is
    likeliest under the residual model ``p_0(y|x) exp(-E(x, y))``.

    Args:
        examples: B; the judge sees an empty text where their references are.
        texts: [B][K].
        judge: gives s.
        log_probs: [B][K] of whole candidates.
        log_prob_weight: w.
    """
    pairs = [[(text, "") for text in row] for row in texts]
    rows = zip(_ask(judge, examples, pairs), log_probs, strict=True)
    return [
        [_preference(*both, log_prob_weight) for both in zip(*row, strict=True)] for row in rows
    ]


def expected_utilities(
    examples: Sequence[Example], texts: Sequence[Sequence[str]], judge: Judge
) -> Values:
    """Give each candidate ``1 / (K - 1) sum_(j != i) u(y_i, y_j)``, with y_j as its one reference.

    The highest is the choice of minimum Bayes risk (Kumar and Byrne, 2004) by draws of the policy
    (Eikema and Aziz, 2022). A text that was drawn n times counts n times, and is scored once.

    Departures:

    1. No candidate is held against itself as that very draw; Eikema and Aziz leave it in, which
       makes no other choice where ``u(y, y)`` is the same for every y.
    2. What the judge does not apply to is left out of the mean.

    Args:
        examples: B; the judge does not see their references.
        texts: [B][K].
        judge: gives u.
    """
    counts = [Counter(row) for row in texts]
    pairs = [list(_pairs(count)) for count in counts]
    utilities = zip(pairs, _ask(judge, examples, pairs), counts, strict=True)
    means = [
        _mean_by_text(dict(zip(asked, found, strict=True)), count)
        for asked, found, count in utilities
    ]
    return [[mean[text] for text in row] for mean, row in zip(means, texts, strict=True)]


def _ask(
    judge: Judge, examples: Sequence[Example], pairs: Sequence[Sequence[tuple[str, str]]]
) -> Iterator[list[float | None]]:
    """Score pairs of a candidate and its one reference, all in one call; give them by example."""
    asked = [
        Sample(example=replace(example, references=(reference,)), candidate=candidate)
        for example, row in zip(examples, pairs, strict=True)
        for candidate, reference in row
    ]
    scores = iter(judge(asked))
    for row in pairs:
        yield list(islice(scores, len(row)))


def _preference(score: float | None, log_prob: float, log_prob_weight: float) -> float | None:
    if score is None or log_prob_weight == 0.0:
        return score
    bounded = min(max(score, CERTAIN), 1 - CERTAIN)
    return math.log(bounded / (1 - bounded)) + log_prob_weight * log_prob


def _pairs(counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Pair each text with all others, and with itself where it was drawn again."""
    for candidate, times in counts.items():
        yield from ((candidate, other) for other in counts if other != candidate or times > 1)


def _mean_by_text(
    utilities: dict[tuple[str, str], float | None], counts: Counter[str]
) -> dict[str, float | None]:
    """Average what each text has against the others, by how often these were drawn."""
    means: dict[str, float | None] = {}
    for candidate in counts:
        weighed = [
            (counts[other] - (other == candidate), utility)
            for other in counts
            if (utility := utilities.get((candidate, other))) is not None
        ]
        total = sum(times for times, _ in weighed)
        means[candidate] = math.fsum(n * u for n, u in weighed) / total if total else None
    return means


def _none_last(value: float | None) -> float:
    return -math.inf if value is None else value
