"""What is trained beside evaluators' own arms, to say what a gain is owed to."""

from collections.abc import Iterable, Sequence

from pydantic import Field, model_validator

from goa.arms import Arm, Control, TrainedPolicy
from goa.evaluators.table import EvaluatorName
from goa.settings import Settings


class ControlSettings(Settings):
    """Arms that do without the evaluator's reward."""

    evaluators: list[EvaluatorName] = Field(default_factory=list)
    """Beside which evaluators' arms they stand."""
    arms: list[Control] = Field(default_factory=list)
    """Which controls each of them gets, trained with each seed."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> "ControlSettings":
        for key, names in (("evaluators", self.evaluators), ("arms", self.arms)):
            twice = [name for place, name in enumerate(names) if name in names[:place]]
            if twice:
                raise ValueError(f"{key}: {twice[0]} is named twice")
        return self

    def trained(self, evaluators: Iterable[str], seeds: Sequence[int]) -> list[TrainedPolicy]:
        """List all policies that are trained, arm by arm: the evaluators' own, then controls."""
        arms = [Arm(evaluator=name) for name in evaluators]
        arms += [
            Arm(evaluator=name, control=control)
            for name in self.evaluators
            for control in self.arms
        ]
        return [TrainedPolicy(arm=arm, seed=seed) for arm in arms for seed in seeds]
