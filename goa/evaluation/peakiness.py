"""How sure a policy is of its next token, and where the reference's tokens stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RANKS = ("1", "2", "3", "4-10", "11-100", "101+")
"""Of a token among the vocabulary, 1 the likeliest, in groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peakiness:
    """Of one policy, over the tokens of the test references, each given those before it.

    Choshen et al. (2020) found that policy gradient makes likely tokens likelier, whatever the
    reward: these are the numbers that show it.
    """

    entropy: float
    """Nats per token."""
    top_1_mass: float
    """Mean probability of the likeliest token."""
    top_10_mass: float
    """Mean probability of the ten likeliest tokens together."""
    reference_probability: float
    """Mean probability of the reference's token."""
    rank_shares: Mapping[str, float]
    """Share of reference tokens by their rank, 1 more than the number of likelier tokens: "1", "2",
    "3", "4-10", "11-100", "101+"."""


def mean_peakiness(of_policies: Sequence[Peakiness]) -> Peakiness:
    """Average over policies, each counting the same."""

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    return Peakiness(
        entropy=mean([each.entropy for each in of_policies]),
        top_1_mass=mean([each.top_1_mass for each in of_policies]),
        top_10_mass=mean([each.top_10_mass for each in of_policies]),
        reference_probability=mean([each.reference_probability for each in of_policies]),
        rank_shares={
            ranks: mean([each.rank_shares[ranks] for each in of_policies]) for ranks in RANKS
        },
    )
