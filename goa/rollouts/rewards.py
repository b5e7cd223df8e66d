"""Rewards of texts, as floats and as tensors."""

import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, begin_score, show
from goa.records import Example, Sample, Scores

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
    scoring = Scoring(evaluator, examples, drops=drops)
    scoring.begin(range(len(examples)), texts)
    return scoring.finish


class Scoring:
    """Rewards of texts that come part by part."""

    def __init__(self, evaluator: Evaluator, examples: Sequence[Example], *, drops: bool) -> None:
        """Set scoring up; see :func:`reward`."""
        self._evaluator = evaluator
        self._examples = examples
        self._drops = drops
        self._begun: list[tuple[list[int], list[Sample], Callable[[], Scores]]] = []

    def begin(self, rows: Sequence[int], texts: Sequence[Sequence[str]]) -> None:
        """Begin to score the texts of the examples in these places."""
        places = [row for row, own in zip(rows, texts, strict=True) for _ in own]
        samples = [
            Sample(example=self._examples[row], candidate=text)
            for row, text in zip(places, itertools.chain(*texts), strict=True)
        ]
        self._begun.append((places, samples, begin_score(self._evaluator, samples)))

    def finish(self) -> Rewards:
        """Give the rewards of all that was begun, laid out as the examples are."""
        rewards: list[list[float]] = [[] for _ in self._examples]
        columns: dict[str, list[float]] = {}
        for places, samples, finish in self._begun:
            scores = finish()
            for row, sample, value in zip(places, samples, scores.values, strict=True):
                rewards[row].append(_earned(self._evaluator, sample, value, self._drops))
            for name, column in scores.parts.items():
                known = [value for value in column if value is not None]
                columns.setdefault(f"reward.{name}", []).extend(known)
        return rewards, {name: sum(known) / len(known) for name, known in columns.items() if known}


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
