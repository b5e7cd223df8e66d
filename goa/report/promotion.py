"""Whether a policy may take another's place: better by one measure, worse by none of the guards."""

from collections.abc import Sequence
from dataclasses import dataclass

from goa.errors import SettingsError
from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparing import compare
from goa.report.comparison import Comparison
from goa.report.entrants import single
from goa.report.numbers import say_delta, say_p_value, say_score
from goa.report.settings import CompareSettings

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of a policy."""

    metric: str
    """What it has to be better by."""
    guards: tuple[str, ...]
    """What it must not be worse by."""
    significance: float
    """Limit of the p-values."""
    resamples: int
    """R, bootstrap resamples."""
    seed: int
    """Of the resamples."""
    num_tried: int
    """Policies among which it was picked, by the same test set."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The metric and the guards."""
        return self.metric, *self.guards


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Both policies by one measure."""

    metric: str
    signature: str
    """The recipe behind both numbers."""
    score: float | None
    """The candidate's, in [0, 1]; None where the measure applies to no output."""
    rival_score: float | None
    delta: float | None
    """Score less the rival's; None where either is missing."""
    low: float | None
    """Lower end of the bootstrap interval of the delta."""
    high: float | None
    """Upper end of the bootstrap interval of the delta."""
    p_value: float | None
    """Of the paired bootstrap; of the metric, times the number of policies tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rule says of a candidate and a rival."""

    candidate: str
    rival: str
    accepted: bool
    reason: str
    """All this in words."""
    metric: Contrast
    guards: tuple[Contrast, ...]
    num_examples: int
    """N, the size of the test set."""

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The metric and the guards."""
        return self.metric, *self.guards


def judge(candidate: PolicyEvaluation, rival: PolicyEvaluation, rule: Rule) -> Judgement:
    """Test a candidate against a rival by the outputs of one strategy for the same test set.

    The metric's p-value is multiplied by the number of policies that the candidate was picked from
    (Bonferroni): the best of several looks better than it is. A guard's is taken as it is, which is
    the strict side.

    Raises:
        DataError: the two were not measured alike.
        SettingsError: a measure was not taken, or has no better or worse.
    """
    settings = CompareSettings(
        resamples=rule.resamples,
        confidence=CONFIDENCE,
        significance=rule.significance,
        primary_metric=rule.metric,
        num_examples=0,
    )
    _check_directed(candidate, rule)
    comparison = compare([single(rival), single(candidate)], settings, rule.seed)
    metric = _contrast(comparison, rule.metric, rule.num_tried)
    guards = tuple(_contrast(comparison, name) for name in rule.guards)
    worse = [guard for guard in guards if (guard.delta or 0.0) < 0 and _is_significant(guard, rule)]
    better = (metric.delta or 0.0) > 0 and _is_significant(metric, rule)
    return Judgement(
        candidate=candidate.policy,
        rival=rival.policy,
        accepted=better and not worse,
        reason=_reason(comparison, metric, better, worse, rule),
        metric=metric,
        guards=guards,
        num_examples=comparison.num_examples,
    )


def _check_directed(evaluation: PolicyEvaluation, rule: Rule) -> None:
    found = next(iter(evaluation.evaluations.values())).measurements
    directed = ", ".join(name for name, each in found.items() if each.higher_is_better)
    for key, name in [("metric", rule.metric), *(("guards", guard) for guard in rule.guards)]:
        if name not in found or not found[name].higher_is_better:
            why = "is neither better nor worse when it rises" if name in found else "is no measure"
            raise SettingsError(f"promotion.{key}: {name!r} {why}; use {directed}")


def _contrast(comparison: Comparison, name: str, num_tried: int = 1) -> Contrast:
    (strategy,) = comparison.strategies
    rival, candidate = (comparison.cell(strategy, name, each) for each in comparison.names)
    change = candidate.change
    p_value = change.p_value if change else None
    return Contrast(
        metric=name,
        signature=next(each.signature for each in comparison.measures if each.name == name),
        score=candidate.score,
        rival_score=rival.score,
        delta=change.delta if change else None,
        low=change.low if change else None,
        high=change.high if change else None,
        p_value=None if p_value is None else min(1.0, num_tried * p_value),
    )


def _is_significant(contrast: Contrast, rule: Rule) -> bool:
    return contrast.p_value is not None and contrast.p_value < rule.significance


def _reason(
    comparison: Comparison, metric: Contrast, better: bool, worse: Sequence[Contrast], rule: Rule
) -> str:
    rival, candidate = comparison.names
    told = _tell(metric)
    if rule.num_tried > 1:
        told += f", corrected for {rule.num_tried} policies"
    if not better:
        how = "significantly better" if (metric.delta or 0.0) > 0 else "better"
        return f"{candidate} is not {how} than {rival}: {told}"
    if worse:
        return (
            f"{candidate} is better than {rival}: {told}; but significantly worse: "
            f"{'; '.join(map(_tell, worse))}"
        )
    kept = f"; no guard is significantly worse ({', '.join(rule.guards)})" if rule.guards else ""
    return f"{candidate} is significantly better than {rival}: {told}{kept}"


def _tell(contrast: Contrast) -> str:
    return (
        f"{contrast.metric} {say_score(contrast.score)} against {say_score(contrast.rival_score)}, "
        f"{say_delta(contrast.delta)}, {say_p_value(contrast.p_value)}"
    )
