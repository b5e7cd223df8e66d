"""What a preflight found of an evaluator that is fine, to be changed by a test."""

from goa.evaluation.gameability import Probing
from goa.evaluation.readiness import Cost, Findings, Signal

SIGNAL = Signal(
    candidates=160,
    per_source=8,
    without_reward=0,
    mean=0.4,
    median=0.35,
    best=0.6,
    headroom=0.2,
    spread=0.1,
    silent=0.1,
    greedy=0.5,
)


def probing(mean: float | None, p_value: float | None = 0.001) -> Probing:
    return Probing(name="x", sources=20, mean=mean, policy_mean=0.4, p_value=p_value)


FINDINGS = Findings(
    signature="x",
    signal=SIGNAL,
    cost=Cost(rewards=100, seconds=1.0, cold_seconds=2.0, price=None),
    draws=False,
    largest_difference=0.0,
    reference=probing(1.0),
    probes={"empty": probing(0.0), "source": probing(0.1), "shuffled": probing(0.3)},
)
