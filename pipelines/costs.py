"""What the stages cost that lead to the policies of a comparison."""

from collections.abc import Iterable, Mapping, Sequence

from goa.arms import BASELINE, TrainedPolicy
from goa.tracking.cost import Cost, load_cost
from pipelines.arms import evaluating_stage, training_stage
from pipelines.stage import cost_path


def stages_to(evaluators: Iterable[str], trained: Sequence[TrainedPolicy]) -> list[str]:
    """Name the stages that lead to the evaluations of all policies, in running order.

    Args:
        evaluators: whose scores of the pool there are.
        trained: the policies beside the baseline.
    """
    return [
        "prepare",
        "pretrain",
        "generate",
        *(f"score@{name}" for name in evaluators),
        *(training_stage(policy) for policy in trained),
        *(evaluating_stage(name) for name in (BASELINE, *(policy.name for policy in trained))),
    ]


def read_costs(stages: Iterable[str]) -> list[Cost]:
    """Read what stages cost, in their order.

    Raises:
        DataError: a file is missing or is no cost.
    """
    return [load_cost(cost_path(stage)) for stage in stages]


def seconds_a_sentence(
    costs: Iterable[Cost], policies: Iterable[str]
) -> dict[tuple[str, str], float]:
    """Say how long each policy took to write a sentence of the test set: (policy, strategy).

    Of the decoding alone, in the batches that evaluation writes; nothing is said of a policy whose
    evaluation is not among the costs, or of a strategy that wrote nothing.
    """
    evaluations: Mapping[str, str] = {evaluating_stage(name): name for name in policies}
    return {
        (evaluations[cost.stage], strategy): work.seconds / work.sentences
        for cost in costs
        if cost.stage in evaluations
        for strategy, work in cost.work.items()
        if work.sentences
    }
