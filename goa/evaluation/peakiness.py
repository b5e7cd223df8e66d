"""How sure a policy is of its next token, and where the reference's tokens stand."""

from collections.abc import Mapping
from dataclasses import dataclass


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
    """Share of reference tokens by their rank: "1", "2", "3", "4-10", "11-100", "101+"."""
