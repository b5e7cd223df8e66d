"""Rewards of texts, as floats and as tensors."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, begin_score, show
from goa.records import Example, Sample

Rewards = tuple[list[list[float]], dict[str, float]]
"""Rewards of texts [B][...], laid out as the texts are, and the mean of every part."""


def reward(
    evaluator: Evaluator,
    examples: Sequence[Example],
    texts: Sequence[Sequence[str]],
    *,
    drops: bool = False,
) -> Rewards:
    """Score texts [B][...].

    Args:
        evaluator: gives the scores.
        examples: the texts' examples, B.
        texts: some for each example.
        drops: whether a text without a score has the reward nan; else it is an error.

    Raises:
        EvaluatorError: the evaluator has no score for a text.
    """
    return begin_reward(evaluator, examples, texts, drops=drops)()


def begin_reward(
    evaluator: Evaluator,
    examples: Sequence[Example],
    texts: Sequence[Sequence[str]],
    *,
    drops: bool = False,
) -> Callable[[], Rewards]:
    """Begin what :func:`reward` does; the function that is given finishes it."""
    samples = [
        Sample(example=example, candidate=text)
        for example, row in zip(examples, texts, strict=True)
        for text in row
    ]
    finish = begin_score(evaluator, samples)

    def give() -> Rewards:
        scores = finish()
        values = iter(
            _earned(evaluator, sample, value, drops)
            for sample, value in zip(samples, scores.values, strict=True)
        )
        parts = {
            f"reward.{name}": sum(known) / len(known)
            for name, column in scores.parts.items()
            if (known := [value for value in column if value is not None])
        }
        return [[next(values) for _ in row] for row in texts], parts

    return give


def _earned(evaluator: Evaluator, sample: Sample, value: float | None, drops: bool) -> float:
    if value is None and not drops:
        raise EvaluatorError(
            f"evaluator {evaluator.name}: no score for {show(sample)}, so it cannot be a reward; "
            "scoring.unscored: drop leaves such sources out"
        )
    return math.nan if value is None else value


def describe_rewards(rewards: Tensor) -> dict[str, float]:
    """Summarise rewards [B, K]: mean, spread within a source, share of sources without signal.

    Sources with a candidate that has no reward are left out; nothing is said where no other is.
    """
    rewards = rewards[~rewards.isnan().any(dim=1)]
    if not len(rewards):
        return {}
    spread = rewards.std(dim=1, correction=0)
    return {
        "reward": float(rewards.mean()),
        "reward_spread": float(spread.mean()),
        "silent_share": float((rewards.amax(dim=1) == rewards.amin(dim=1)).float().mean()),
    }
