"""Rewards of texts, as floats and as tensors."""

from collections.abc import Sequence

from torch import Tensor

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, checked_score
from goa.records import Example, Sample


def reward(
    evaluator: Evaluator, examples: Sequence[Example], texts: Sequence[Sequence[str]]
) -> tuple[list[list[float]], dict[str, float]]:
    """Score texts [B][...]; return their rewards, laid out alike, and the mean of every part.

    Raises:
        EvaluatorError: the evaluator has no score for a text.
    """
    samples = [
        Sample(example=example, candidate=text)
        for example, row in zip(examples, texts, strict=True)
        for text in row
    ]
    scores = checked_score(evaluator, samples)
    values = []
    for sample, value in zip(samples, scores.values, strict=True):
        if value is None:
            raise EvaluatorError(
                f"{evaluator.name}: no score for {sample.candidate!r} "
                f"(example {sample.example.id}), so it cannot be a reward"
            )
        values.append(value)
    rows = iter(values)
    rewards = [[next(rows) for _ in row] for row in texts]
    parts = {
        f"reward.{name}": sum(known) / len(known)
        for name, column in scores.parts.items()
        if (known := [value for value in column if value is not None])
    }
    return rewards, parts


def describe_rewards(rewards: Tensor) -> dict[str, float]:
    """Summarise rewards [B, K]: mean, spread within a source, share of sources without signal."""
    spread = rewards.std(dim=1, correction=0)
    return {
        "reward": float(rewards.mean()),
        "reward_spread": float(spread.mean()),
        "silent_share": float((rewards.amax(dim=1) == rewards.amin(dim=1)).float().mean()),
    }
