"""What a gain is held against: controls, decoding without training, peakiness."""

from dataclasses import dataclass
from typing import Literal

from goa.evaluation.peakiness import Peakiness
from goa.report.change import Change

Outcome = Literal["reached", "undecided", "behind"]
"""Whether decoding alone gets to what training got to: "undecided" where it is behind, but not
significantly so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """How much of an arm's gain is left once the best of its controls is taken away."""

    strategy: str
    metric: str
    arm: str
    control: str
    """The control with the highest mean score by this measure and strategy."""
    gain: float | None
    """The arm's, over the baseline."""
    control_gain: float | None
    """That control's, over the baseline."""
    left: Change
    """The arm less that control, in pairs of equal seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPoint:
    """One arm, decoded one way: what it reaches, and in what time."""

    arm: str
    strategy: str
    score: float | None
    """Mean over seeds of the corpus score."""
    low: float | None
    """Lower end of the bootstrap interval of the mean."""
    high: float | None
    """Upper end of the bootstrap interval of the mean."""
    seconds: float | None
    """Time to decode a sentence, mean over seeds; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The best that decoding alone does, against the best that training does."""

    untrained: BarPoint
    change: Change
    """The trained point less this one; its adjusted p-values are corrected for the number of
    points that the trained one was picked from (Bonferroni)."""
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Whether any way of decoding the untrained policy gets to where training got."""

    metric: str
    points: tuple[BarPoint, ...]
    """Every arm by every strategy; the baseline's own strategies besides."""
    trained: BarPoint | None
    """The best of the arms that an evaluator rewarded; None where none has a score."""
    any_time: Reach | None
    """The baseline's best, whatever time it takes."""
    same_time: Reach | None
    """The baseline's best in no more time a sentence; None where no such is known."""
    sentence: str
    """All this in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPeakiness:
    """How sure an arm's policies are of the next token, mean over seeds."""

    arm: str
    peakiness: Peakiness
