"""The stages of dvc.yaml that train and measure a policy."""

from collections.abc import Collection

from goa.arms import BASELINE, TrainedPolicy, parse_policy
from goa.errors import PipelineError


def training_stage(policy: TrainedPolicy) -> str:
    """Name the stage that fine-tunes a policy."""
    group = "finetune" if policy.arm.control is None else "control"
    return f"{group}@{policy.name}"


def evaluating_stage(name: str) -> str:
    """Name the stage that evaluates a policy, or the one before fine-tuning.

    Raises:
        SettingsError: it is no policy's name.
    """
    if name == BASELINE:
        return "evaluate_mle"
    group = "evaluate" if parse_policy(name).arm.control is None else "evaluate_control"
    return f"{group}@{name}"


def choose_policy(name: str, known: Collection[str]) -> str:
    """Find a policy by its name, or by its arm's where that has one seed.

    Raises:
        PipelineError: there is none, or several.
    """
    if name in known:
        return name
    of_arm = [each for each in known if each.rpartition("-")[0] == name]
    if len(of_arm) == 1:
        return of_arm[0]
    if of_arm:
        raise PipelineError(f"{name} was trained with several seeds; name one: {', '.join(of_arm)}")
    raise PipelineError(f"no policy {name!r}; known: {', '.join(known) or 'none'}")
