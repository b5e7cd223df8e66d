"""What is trained beside what, and what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from goa.errors import SettingsError

BASELINE = "mle"
"""The policy before fine-tuning, and its arm."""

Control = Literal["likelihood", "constant", "shuffled"]
"""An arm without the evaluator's reward."""
CONTROLS: tuple[Control, ...] = get_args(Control)
CONTROLLED: Mapping[Control, str] = {
    "likelihood": "maximum likelihood went on for as many updates, without rewards",
    "constant": "every candidate was paid the same",
    "shuffled": "every candidate was paid what another one earned",
}
"""What was done in place of the evaluator's reward, for whoever reads of a control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to fine-tune: on an evaluator's reward, or as a control beside it."""

    evaluator: str
    """What its policies are rewarded or, as controls, only chosen by."""
    control: Control | None = None
    """None: rewarded by the evaluator."""

    @property
    def name(self) -> str:
        """Name it: ``bleu``, ``bleu-constant``."""
        return self.evaluator if self.control is None else f"{self.evaluator}-{self.control}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPolicy:
    """A policy that one arm came to with one seed."""

    arm: Arm
    seed: int
    """Of fine-tuning."""

    @property
    def name(self) -> str:
        """Name it as stages and files do: ``bleu-17``, ``bleu-constant-17``."""
        return f"{self.arm.name}-{self.seed}"


def parse_policy(name: str) -> TrainedPolicy:
    """Read the name of a fine-tuned policy.

    Raises:
        SettingsError: it is no such name.
    """
    match name.split("-"):
        case [evaluator, seed] if evaluator and seed.isdecimal():
            return TrainedPolicy(arm=Arm(evaluator=evaluator), seed=int(seed))
        case [evaluator, control, seed] if evaluator and seed.isdecimal():
            for known in CONTROLS:
                if control == known:
                    arm = Arm(evaluator=evaluator, control=known)
                    return TrainedPolicy(arm=arm, seed=int(seed))
    raise SettingsError(
        f"{name!r} names no fine-tuned policy; they are called EVALUATOR-SEED, such as bleu-17, or "
        "EVALUATOR-CONTROL-SEED, such as bleu-constant-17"
    )
