"""What a comparison of arms says, as plain values: comparison.json holds exactly this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from goa.arms import Control
from goa.evaluation.alarms import GuardAlarm
from goa.evaluation.significance import TestName
from goa.json_file import read_json, write_json
from goa.report.change import Change
from goa.report.evidence import ArmPeakiness, Attribution, Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that outputs were measured by."""

    name: str
    """The metric, or "<evaluator>.<part>"."""
    kind: str
    """Kind of the metric, as params.yaml has it."""
    signature: str
    """The recipe behind its numbers."""
    higher_is_better: bool
    """False for descriptions that are neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedArm:
    """What was trained, once with each seed."""

    name: str
    evaluator: str | None
    """What it was rewarded by or, as a control, stands beside; None for the baseline."""
    control: Control | None
    """None: rewarded by the evaluator."""
    seeds: tuple[int, ...]
    """Of fine-tuning; none for the baseline."""
    policies: tuple[str, ...]
    """One a seed, in their order; the baseline's one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm, decoded one way, by one measure."""

    strategy: str
    arm: str
    metric: str
    score: float | None
    """Mean over seeds of the corpus score, in [0, 1]; None where a seed has none."""
    scores: tuple[float | None, ...]
    """Corpus score of each policy of the arm; None where the measure applies to no output."""
    spread: float | None
    """Standard deviation of the scores over seeds; None with fewer than two."""
    low: float | None
    """Lower end of the bootstrap interval of the mean: test examples are resampled."""
    high: float | None
    """Upper end of the bootstrap interval of the mean."""
    trained_on: bool
    """Whether the arm was rewarded by this very measure, whatever name it goes by here."""
    change: Change | None
    """From the baseline; None for the baseline itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of the verdict's table."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which arm is best, by the first strategy and the primary metric."""

    strategy: str
    metric: str
    best: str | None
    """Of the arms that an evaluator rewarded, the one with the highest score; None where nothing
    can be compared."""
    winner: str
    """The best arm where it is significantly better than the baseline, else the baseline."""
    headline: str
    """All this in as few words and numbers as can be."""
    sentence: str
    """All this in words, with the evidence."""
    facts: tuple[Fact, ...]
    """How much better, how sure, owing to what, and at what cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A test example with what every arm, by its first seed, wrote for it by the first strategy."""

    id: str
    source: str
    references: tuple[str, ...]
    outputs: Mapping[str, str]
    """By arm."""
    scores: Mapping[str, float | None]
    """By arm: the primary metric of this one output."""
    reason: str
    """Why it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every arm by every measure, tested against the baseline."""

    arms: tuple[ComparedArm, ...]
    """The baseline first."""
    strategies: tuple[str, ...]
    """Ways of decoding all arms; verdict, picture and exhibits use the first."""
    measures: tuple[Measure, ...]
    cells: tuple[Cell, ...]
    """One per strategy, measure and arm."""
    attributions: tuple[Attribution, ...]
    """One per strategy, measure with a better and a worse, and arm that has controls."""
    bar: Bar | None
    """By the verdict's metric; None where nothing was fine-tuned."""
    peakiness: tuple[ArmPeakiness, ...]
    """One per arm, the baseline first; none where it was not measured."""
    alarms: tuple[GuardAlarm, ...]
    """Guards that fell while the reward rose, policy by policy."""
    verdict: Verdict
    exhibits: tuple[Exhibit, ...]
    num_examples: int
    """N, the size of the test set."""
    seed: int
    """Of the resamples."""
    test: TestName
    """Over test examples."""
    resamples: int
    confidence: float
    significance: float

    @property
    def baseline(self) -> str:
        """The arm that the others are tested against."""
        return self.arms[0].name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(arm.name for arm in self.arms)

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of all policies, arm by arm."""
        return tuple(policy for arm in self.arms for policy in arm.policies)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """What arms are rewarded by, or chosen by as controls; each once."""
        return tuple(dict.fromkeys(arm.evaluator for arm in self.arms if arm.evaluator))

    @property
    def families(self) -> tuple[tuple[str, ...], ...]:
        """Names of the arms whose changes by a measure are tested together."""
        return families(self.arms)

    @property
    def num_seeds(self) -> int:
        """How often each arm was fine-tuned."""
        return max(len(arm.policies) for arm in self.arms)

    def cell(self, strategy: str, metric: str, arm: str) -> Cell:
        """Find one cell."""
        key = (strategy, metric, arm)
        return next(x for x in self.cells if (x.strategy, x.metric, x.arm) == key)


def families(arms: Sequence[ComparedArm]) -> tuple[tuple[str, ...], ...]:
    """Group the arms after the baseline by what is claimed of them; no group is empty.

    The best of those that an evaluator rewards is claimed to be better, so they are a family. Of
    a control nothing is claimed: it is there to doubt the others, and must not make them less
    certain by being there. Controls are a family of their own.
    """
    rewarded, controls = (
        tuple(arm.name for arm in arms[1:] if (arm.control is None) is wanted)
        for wanted in (True, False)
    )
    return tuple(family for family in (rewarded, controls) if family)


_COMPARISON = TypeAdapter(Comparison)


def save_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as JSON."""
    write_json(path, _COMPARISON, comparison)


def load_comparison(path: Path) -> Comparison:
    """Read a comparison back.

    Raises:
        DataError: the file is missing or is no comparison.
    """
    return read_json(path, _COMPARISON, what="a comparison", remedy="run the stage compare")
