"""Whether an evaluator is fit to train on, judged from what it says of a policy's candidates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from goa.errors import EvaluatorError
from goa.evaluation.gameability import Probing
from goa.evaluation.probes import KINDS, SHUFFLED
from goa.evaluation.ranks import ReferenceRanks

MOST_SILENT = 0.9
"""Share of sources without signal: beyond it, not one source in ten teaches anything."""
LEAST_HEADROOM = 1e-6
"""Best of N less the mean: below it, no choice among candidates earns more than rounding does."""
SAME = 1e-6
"""Difference of two rewards that counts as none: what the order of float32 sums leaves."""
SIGNIFICANCE = 0.05
"""p-value of a probe, not corrected for there being several: a hole that is missed costs a training
run, a false alarm costs a look at a table."""
FEWEST_SOURCES = 10
"""Sources that a probe's p-value needs to count: of a few, every resample says the same."""
MUCH_SILENCE = 0.5
"""Share of sources without signal: beyond it, most of what is generated is for nothing."""
LITTLE_HEADROOM = 0.01
"""Best of N less the mean: below a point, seeds make as much of a difference as training."""
SLOW = 60.0
"""Seconds per 1,000 rewards: beyond it, a round of a few hundred candidates waits for its rewards
longer than a policy on a GPU takes to write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Rewards of the candidates that the policy sampled. None: no candidate has a reward."""

    candidates: int
    """How many were scored."""
    per_source: int
    """N, the most that a source has."""
    without_reward: int
    """Those that the evaluator does not apply to; they are left out of the rest."""
    mean: float | None
    """Mean reward of a candidate."""
    median: float | None
    """Median reward of a candidate."""
    best: float | None
    """Reward of a source's best candidate, averaged over sources."""
    headroom: float | None
    """The best candidate's reward less the mean of its source, averaged over sources."""
    spread: float | None
    """Standard deviation within a source, averaged over sources."""
    silent: float | None
    """Share of sources whose candidates all earn the same."""
    greedy: float | None
    """Mean reward of the greedy candidates; None where the pool has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What rewards cost, measured without the store, in one process."""

    rewards: int
    """How many were timed, in one call."""
    seconds: float
    """Per 1,000 rewards, once models are loaded."""
    cold_seconds: float
    """For the first 1,000 rewards of a process, loading included."""
    price: float | None
    """Per 1,000 rewards, in the currency that the machine's hour was given in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was measured of an evaluator."""

    signature: str
    """Its recipe."""
    signal: Signal
    """What an update could learn from."""
    cost: Cost
    """What it takes."""
    draws: bool
    """Whether it says that equal samples may have different scores."""
    largest_difference: float
    """Between the scores of equal samples, the second time by an evaluator built anew and in
    another order; 1 where a score came only once."""
    reference: Probing
    """People's texts beside the policy's."""
    probes: Mapping[str, Probing]
    """Unwanted texts beside the policy's, by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The verdict on an evaluator."""

    go: bool
    """Whether to train on it: there are no reasons against it."""
    reasons: tuple[str, ...]
    """Against training on it."""
    warnings: tuple[str, ...]
    """What to keep an eye on."""
    findings: Findings | None
    """None where the evaluator failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What there is to know before a policy is trained on evaluators."""

    sources: int
    """Sources of the pool that were looked at."""
    ranks: ReferenceRanks
    """How near the policy is to the references."""
    evaluators: Mapping[str, Readiness]
    """By name."""

    @property
    def go(self) -> bool:
        """Say whether all evaluators are fit."""
        return all(found.go for found in self.evaluators.values())


def judge(findings: Findings, *, drops: bool) -> Readiness:
    """Judge an evaluator by the thresholds of this module.

    Args:
        findings: what was measured.
        drops: whether sources with a candidate that has no reward are left out of updates; else
            such a candidate ends a training run.
    """
    reasons = tuple(_reasons(findings, drops))
    return Readiness(
        go=not reasons,
        reasons=reasons,
        warnings=tuple(_warnings(findings, drops)),
        findings=findings,
    )


def failed(error: EvaluatorError) -> Readiness:
    """Judge an evaluator that cannot be built, or cannot score what it was given."""
    return Readiness(go=False, reasons=(f"it fails: {error}",), warnings=(), findings=None)


def beats_policy(probing: Probing) -> bool:
    """Say whether a text earns more than the policy's candidates, beyond chance and rounding."""
    return probing.difference > SAME and _is_significant(probing)


def falls_behind(probing: Probing) -> bool:
    """Say whether a text earns less than the policy's candidates, beyond chance and rounding."""
    return probing.difference < -SAME and _is_significant(probing)


def _is_significant(probing: Probing) -> bool:
    if probing.p_value is None or probing.sources < FEWEST_SOURCES:
        return False
    return probing.p_value < SIGNIFICANCE


def _reasons(found: Findings, drops: bool) -> Iterator[str]:
    signal = found.signal
    if signal.mean is None:
        yield f"none of {signal.candidates:,} candidates has a reward"
        return
    if signal.without_reward and not drops:
        yield (
            f"{_unrewarded(signal)}: fine-tuning would end there; scoring.unscored: drop leaves "
            "such sources out"
        )
    if signal.silent is not None and signal.silent > MOST_SILENT:
        yield f"no signal: the candidates of {signal.silent:.0%} of the sources all earn the same"
    elif signal.headroom is not None and signal.headroom < LEAST_HEADROOM:
        yield f"no signal: the best of {signal.per_source} candidates earns what the mean does"
    if found.largest_difference > SAME and not found.draws:
        yield (
            f"not deterministic: equal samples differ by up to {found.largest_difference:.2g}; an "
            "evaluator that draws at random says so (draws = True)"
        )
    for kind, probing in found.probes.items():
        if kind != SHUFFLED and beats_policy(probing):
            yield _beside_policy(f"prefers {KINDS[kind]} to", probing)


def _warnings(found: Findings, drops: bool) -> Iterator[str]:
    signal = found.signal
    if signal.mean is None:
        return
    if signal.without_reward and drops:
        yield f"{_unrewarded(signal)}: their sources are left out of updates"
    if signal.silent is not None and MUCH_SILENCE < signal.silent <= MOST_SILENT:
        yield f"the candidates of {signal.silent:.0%} of the sources all earn the same"
    if signal.headroom is not None and LEAST_HEADROOM <= signal.headroom < LITTLE_HEADROOM:
        yield f"little to gain: the best of {signal.per_source} earns {signal.headroom:.4f} more"
    if falls_behind(found.reference):
        yield _beside_policy("the reference earns less than", found.reference)
    for kind, probing in found.probes.items():
        yield from _probe_warnings(kind, probing, signal)
    if found.cost.seconds > SLOW:
        yield f"slow: {found.cost.seconds:,.0f} s for 1,000 rewards"


def _probe_warnings(kind: str, probing: Probing, signal: Signal) -> Iterator[str]:
    """Warn of a probe that is no reason against the evaluator.

    The shuffled reference never is: it shows what word order is worth, but nobody writes it who
    does not know the reference's words, and every measure of words without order prefers it to all
    but the best policies.
    """
    if kind == SHUFFLED:
        if beats_policy(probing):
            yield _beside_policy(f"word order counts for little: prefers {KINDS[kind]} to", probing)
        return
    if beats_policy(probing) or probing.mean is None:
        return
    typical = {"greedy": signal.greedy, "median": signal.median}
    for name, reward in typical.items():
        if reward is not None and probing.mean > reward + SAME:
            told = f"{KINDS[kind]} earns {probing.mean:.3f}"
            yield f"{told}, the policy's {name} candidate {reward:.3f}"
            return


def _unrewarded(signal: Signal) -> str:
    return f"no reward for {signal.without_reward:,} of {signal.candidates:,} candidates"


def _beside_policy(words: str, probing: Probing) -> str:
    """End a sentence with what the policy writes, and the numbers of both."""
    assert probing.p_value is not None
    p_value = "p < 0.001" if probing.p_value < 0.001 else f"p = {probing.p_value:.3f}"
    return (
        f"{words} what the policy writes: {probing.mean:.3f} against {probing.policy_mean:.3f} "
        f"({p_value})"
    )
