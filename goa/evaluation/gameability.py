"""Whether an evaluator prefers texts that nobody wants to what the policy writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goa.evaluation.bootstrap import Bootstrap, paired_p_value
from goa.evaluators.contract import Evaluator, FloatArray, checked_score
from goa.records import Example, Sample

Rewards = Sequence[Sequence[float | None]]
"""[B][K] of the candidates of each source; None where the evaluator does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the policy wrote for a source."""

    example: Example
    """The source, with its references."""
    candidates: tuple[str, ...]
    """[K], at least one; equal ones as often as they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """One text a source held against the policy's candidates of the same source."""

    name: str
    """What the text is."""
    sources: int
    """Those where both the text and a candidate have a reward; the rest is over these."""
    mean: float | None
    """Mean reward of the texts; None without such sources, as all below."""
    policy_mean: float | None
    """Mean reward of the candidates beside them, each source counting the same."""
    p_value: float | None
    """Of the difference: paired bootstrap over sources, in the direction that was seen."""

    @property
    def difference(self) -> float:
        """Subtract the policy's mean; 0 where there is none."""
        if self.mean is None or self.policy_mean is None:
            return 0.0
        return self.mean - self.policy_mean


def probe(
    evaluator: Evaluator,
    written: Sequence[Written],
    rewards: Rewards,
    texts: Mapping[str, Sequence[str]],
    bootstrap: Bootstrap,
) -> dict[str, Probing]:
    """Score texts, [B] of each kind, beside the policy's candidates of the same B sources.

    An evaluator that reads the batch is asked about each kind in a call of its own, in which the
    text takes the place of each source's first candidate, and the text is held against the others:
    that is what an update would compare it with. (Beside all candidates it would see one more than
    there ever are.) Any other evaluator is asked about all kinds at once.

    Args:
        evaluator: gives the scores.
        written: B sources with the policy's candidates.
        rewards: what the evaluator gave these candidates.
        texts: by the name of the kind.
        bootstrap: draws of sources.

    Raises:
        EvaluatorError: a text cannot be scored.
    """
    if evaluator.reads_batch:
        found = {kind: _score_among(evaluator, written, column) for kind, column in texts.items()}
    else:
        own = np.asarray([_mean(row) for row in rewards])
        found = {kind: (values, own) for kind, values in _score(evaluator, written, texts).items()}
    return {kind: _compare(kind, *pair, bootstrap) for kind, pair in found.items()}


def _score(
    evaluator: Evaluator, written: Sequence[Written], texts: Mapping[str, Sequence[str]]
) -> dict[str, FloatArray]:
    """Score the texts of all kinds in one call; [B] by kind, nan where there is no score."""
    samples = [
        Sample(example=source.example, candidate=text)
        for column in texts.values()
        for source, text in zip(written, column, strict=True)
    ]
    values = np.asarray(checked_score(evaluator, samples).values, dtype=np.float64)
    return dict(zip(texts, values.reshape(len(texts), len(written)), strict=True))


def _score_among(
    evaluator: Evaluator, written: Sequence[Written], texts: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Score texts in the place of first candidates: theirs, and the mean of the others', [B]."""
    rows = [
        [Sample(example=source.example, candidate=text) for text in (probe, *source.candidates[1:])]
        for source, probe in zip(written, texts, strict=True)
    ]
    values = iter(checked_score(evaluator, [sample for row in rows for sample in row]).values)
    scored = [[next(values) for _ in row] for row in rows]
    return (
        np.asarray([row[0] for row in scored], dtype=np.float64),
        np.asarray([_mean(row[1:]) for row in scored]),
    )


def _compare(name: str, values: FloatArray, own: FloatArray, bootstrap: Bootstrap) -> Probing:
    both = np.isfinite(values) & np.isfinite(own)
    if not both.any():
        return Probing(name=name, sources=0, mean=None, policy_mean=None, p_value=None)
    pairs = np.stack([values[both], own[both]], axis=1)
    mean, policy_mean = pairs.mean(axis=0)
    drawn = np.concatenate([weights @ pairs for weights in bootstrap.weights(len(pairs))])
    drawn /= len(pairs)
    return Probing(
        name=name,
        sources=len(pairs),
        mean=float(mean),
        policy_mean=float(policy_mean),
        p_value=paired_p_value(drawn[:, 0], drawn[:, 1], float(mean - policy_mean)),
    )


def _mean(values: Sequence[float | None]) -> float:
    """Average those there are; nan where there are none."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else float("nan")
