"""What objectives are given, and what they give back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

Need = Literal["greedy", "entropy", "states", "critic", "draws", "prefix"]
"""greedy: rewards of the policy's greedy outputs; entropy: entropies with a gradient; states: the
policy's states; critic: a critic's values; draws: candidates that are the policy's own draws, since
beams and references would mislead it; prefix: candidates that begin like the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """K candidates for each of B sources under the live policy; log-probs are 0 off the mask."""

    mask: Tensor
    """[B, K, T] bool, True for the tokens of a candidate, its end token included."""
    log_probs: Tensor
    """[B, K, T] of each token under the live policy, with gradient."""
    mean_log_probs: Tensor
    """[B, K, T] averaged over the vocabulary, with gradient."""
    entropy: Tensor | None = None
    """[B, K, T] entropy of the next-token distribution in nats; None where it is not asked for."""
    distinct_mask: Tensor | None = None
    """[B, K] bool, False where an earlier candidate of the source is the same."""
    written_log_probs: Tensor | None = None
    """[B, K, T] under the policy that wrote the candidates; None for references."""
    pretrained_log_probs: Tensor | None = None
    """[B, K, T] under the pretrained policy; None where no divergence is measured."""
    rewards: Tensor | None = None
    """[B, K] in [0, 1]; None for references."""
    greedy_rewards: Tensor | None = None
    """[B] of the live policy's greedy output, for the self-critical baseline."""
    credits: Tensor | None = None
    """[B, K, T] what each token earned, in all the candidate's reward; None where that is not told
    apart."""
    credit_weights: Tensor | None = None
    """[B, K, T] each token's share of its candidate's advantage, 1 on average; None: all alike."""
    prefix_mask: Tensor | None = None
    """[B, K, T] bool, True for the tokens that were given, not chosen by the policy."""
    states: Tensor | None = None
    """[B, K, T, d] what the policy makes each choice of a token from; None where not asked for."""
    values: Tensor | None = None
    """[B, K, T] what the critic expects to be earned from each token on; anything off the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss before division."""

    sum: Tensor
    """Scalar with gradient, summed over what the objective's ``weigh`` counts."""
    diagnostics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Name -> (sum, weight); a step's diagnostic is its sums over its weights."""


class Objective(Protocol):
    """A pure function of a batch."""

    needs: frozenset[Need]
    """What it asks for beyond rewards and log-probs."""

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count what a loss is summed over: tokens, candidates, sources.

        Told from masks [B, K, T] and rewards [B, K] alone, so that the whole step's weight is known
        before its first part is scored. Counts of parts cut along B add up.
        """

    def __call__(self, batch: Batch) -> Loss:
        """Sum the loss over a batch, or over any part of it cut along B.

        Raises:
            ValueError: the batch lacks what the objective looks at.
        """


class Plain:
    """An objective that asks for nothing out of the ordinary."""

    needs: frozenset[Need] = frozenset()


class OverTokens(Plain):
    """An objective that sums over the tokens of the candidates."""

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count tokens."""
        del rewards
        return float(mask.sum())


class OverCandidates(Plain):
    """An objective that sums over candidates."""

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count candidates."""
        del rewards
        return float(mask.shape[0] * mask.shape[1])


class OverSources(Plain):
    """An objective that sums over sources."""

    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count sources."""
        del rewards
        return float(len(mask))


def given(value: Tensor | None, what: str, objective: str) -> Tensor:
    """Insist on something that a batch may come without.

    Raises:
        ValueError: it is not there.
    """
    if value is None:
        raise ValueError(f"{objective} needs {what}")
    return value
