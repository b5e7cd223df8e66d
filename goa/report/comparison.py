"""What a comparison of policies says, as plain values: comparison.json holds exactly this."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from goa.errors import DataError

Effect = Literal["better", "worse", "different", "none"]
"""What a change from the baseline is: "different" where a measure has no better or worse."""


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
class Change:
    """How far a policy is from the baseline by one measure; None where either has no score."""

    delta: float | None
    """Score less the baseline's score."""
    low: float | None
    """Lower end of the bootstrap interval of the delta."""
    high: float | None
    """Upper end of the bootstrap interval of the delta."""
    p_value: float | None
    """Of the paired bootstrap test."""
    adjusted_p_value: float | None
    """After Holm's correction over the policies compared by this measure and strategy."""
    effect: Effect
    """Whether the change is significant, and which way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One policy, decoded one way, by one measure."""

    strategy: str
    policy: str
    metric: str
    score: float | None
    """Corpus score in [0, 1]; None where the measure applies to no output."""
    low: float | None
    """Lower end of the bootstrap interval."""
    high: float | None
    """Upper end of the bootstrap interval."""
    trained_on: bool
    """Whether the policy was trained on this very measure, whatever name it goes by here."""
    change: Change | None
    """From the baseline; None for the baseline itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which policy is best, by the first strategy and the primary metric."""

    strategy: str
    metric: str
    best: str | None
    """The fine-tuned policy with the highest score; None where nothing can be compared."""
    winner: str
    """The best policy where it is significantly better than the baseline, else the baseline."""
    sentence: str
    """All this in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A test example with what every policy wrote for it, by the first strategy."""

    id: str
    source: str
    references: tuple[str, ...]
    outputs: Mapping[str, str]
    """By policy."""
    scores: Mapping[str, float | None]
    """By policy: the primary metric of this one output."""
    reason: str
    """Why it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every policy by every measure, tested against the baseline."""

    policies: tuple[str, ...]
    """The baseline first."""
    strategies: tuple[str, ...]
    """Ways of decoding; verdict, picture and exhibits use the first."""
    measures: tuple[Measure, ...]
    cells: tuple[Cell, ...]
    """One per strategy, measure and policy."""
    verdict: Verdict
    exhibits: tuple[Exhibit, ...]
    num_examples: int
    """N, the size of the test set."""
    seed: int
    resamples: int
    confidence: float
    significance: float

    @property
    def baseline(self) -> str:
        """The policy that the others are tested against."""
        return self.policies[0]

    def cell(self, strategy: str, metric: str, policy: str) -> Cell:
        """Find one cell."""
        key = (strategy, metric, policy)
        return next(x for x in self.cells if (x.strategy, x.metric, x.policy) == key)


_COMPARISON = TypeAdapter(Comparison)


def save_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as JSON."""
    path.write_bytes(_COMPARISON.dump_json(comparison, indent=2) + b"\n")


def load_comparison(path: Path) -> Comparison:
    """Read a comparison back.

    Raises:
        DataError: the file is missing or is no comparison.
    """
    try:
        return _COMPARISON.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; run the stage compare") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"{path}: not a comparison: {place}: {problem['msg']}; run the stage compare again"
        ) from None
