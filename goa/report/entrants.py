"""What is compared: arms, each with the evaluations of its policies."""

from collections.abc import Sequence
from dataclasses import dataclass

from goa.arms import BASELINE, Arm, parse_policy
from goa.errors import DataError
from goa.evaluation.storage import PolicyEvaluation
from goa.report.comparison import ComparedArm


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """An arm, and what its policies wrote."""

    arm: ComparedArm
    evaluations: tuple[PolicyEvaluation, ...]
    """Of its policies, in their order."""


def single(evaluation: PolicyEvaluation) -> Entrant:
    """Take one policy as an arm of its own, under its own name."""
    arm = ComparedArm(
        name=evaluation.policy,
        evaluator=None,
        control=None,
        seeds=(),
        policies=(evaluation.policy,),
    )
    return Entrant(arm=arm, evaluations=(evaluation,))


def group_by_arm(evaluations: Sequence[PolicyEvaluation]) -> list[Entrant]:
    """Put the policies of an arm together, by their names; the baseline is an arm of its own.

    Raises:
        SettingsError: a policy has another name than the pipeline gives.
        DataError: two arms were trained with different seeds.
    """
    groups: dict[Arm, list[tuple[int, PolicyEvaluation]]] = {}
    entrants: list[Entrant] = []
    for evaluation in evaluations:
        if evaluation.policy == BASELINE:
            entrants.append(single(evaluation))
            continue
        policy = parse_policy(evaluation.policy)
        groups.setdefault(policy.arm, []).append((policy.seed, evaluation))
    entrants += [_entrant(arm, members) for arm, members in groups.items()]
    _check_seeds([each.arm for each in entrants if each.arm.seeds])
    return entrants


def _entrant(arm: Arm, members: Sequence[tuple[int, PolicyEvaluation]]) -> Entrant:
    compared = ComparedArm(
        name=arm.name,
        evaluator=arm.evaluator,
        control=arm.control,
        seeds=tuple(seed for seed, _ in members),
        policies=tuple(evaluation.policy for _, evaluation in members),
    )
    return Entrant(arm=compared, evaluations=tuple(evaluation for _, evaluation in members))


def _check_seeds(arms: Sequence[ComparedArm]) -> None:
    for arm in arms[1:]:
        if arm.seeds != arms[0].seeds:
            raise DataError(
                f"arms {arms[0].name!r} and {arm.name!r} were trained with different seeds, "
                f"{_list(arms[0].seeds)} and {_list(arm.seeds)}; train both with the same"
            )


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def check_alike(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    """Find the strategies that every policy was decoded by.

    The baseline may have more, which are its own.

    Raises:
        DataError: two policies were not evaluated on the same examples in the same ways.
    """
    baseline, *others = [each for entrant in entrants for each in entrant.evaluations]
    strategies = tuple((others[0] if others else baseline).evaluations)
    for other in others:
        if what := _unlike(baseline, other, strategies):
            raise DataError(
                f"policies {baseline.policy!r} and {other.policy!r} were evaluated with different "
                f"{what}; evaluate both again"
            )
    return strategies


def _unlike(
    baseline: PolicyEvaluation, other: PolicyEvaluation, strategies: Sequence[str]
) -> str | None:
    """Name what two evaluations differ in that they should not."""
    if baseline.examples != other.examples:
        return "test examples"
    wanted = set(strategies)
    if wanted != set(other.evaluations) or not wanted <= set(baseline.evaluations):
        return "strategies"
    if baseline.metrics != other.metrics:
        return "metric settings"
    if _signatures(baseline, strategies) != _signatures(other, strategies):
        return "measures"
    return None


def _signatures(
    evaluation: PolicyEvaluation, strategies: Sequence[str]
) -> dict[tuple[str, str], str]:
    return {
        (strategy, name): measurement.signature
        for strategy in strategies
        for name, measurement in evaluation.evaluations[strategy].measurements.items()
    }
