"""A weighted mean of several evaluators."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.kinds import Single
from goa.records import Sample, Scores
from goa.settings import Settings


class MixPartSettings(Settings):
    """One evaluator of a mix."""

    weight: float = Field(1.0, gt=0.0, le=1000.0)
    """Only the proportions of the weights count."""
    evaluator: Annotated[Single, Field(discriminator="kind")]


class MixSettings(Settings):
    """Several evaluators at once."""

    kind: Literal["mix"]
    parts: dict[str, MixPartSettings] = Field(min_length=1)
    """What is mixed, by the names that the breakdown shows."""

    def build(self, name: str) -> "Mix":
        """Build the evaluator."""
        return Mix(name, self)


class Mix(Evaluator):
    """The weighted mean of its parts; each part, and its own parts, are in the breakdown.

    It applies where all of its parts do.
    """

    def __init__(self, name: str, settings: MixSettings) -> None:
        total = sum(part.weight for part in settings.parts.values())
        self.name = name
        self._parts = {
            part_name: (part.weight / total, part.evaluator.build(f"{name}.{part_name}"))
            for part_name, part in settings.parts.items()
        }
        self.reads_batch = any(part.reads_batch for _, part in self._parts.values())
        self.draws = any(part.draws for _, part in self._parts.values())
        signatures = [f"{weight:.4g}*[{part.signature}]" for weight, part in self._parts.values()]
        self.signature = "+".join(signatures)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples by every part."""
        parts: dict[str, Sequence[float | None]] = {}
        for part_name, (_, evaluator) in self._parts.items():
            scores = checked_score(evaluator, samples)
            parts[part_name] = scores.values
            parts |= {f"{part_name}.{name}": column for name, column in scores.parts.items()}
        values = tuple(self._mean(parts, row) for row in range(len(samples)))
        return Scores(values=values, parts={name: tuple(col) for name, col in parts.items()})

    def _mean(self, parts: Mapping[str, Sequence[float | None]], row: int) -> float | None:
        total = 0.0
        for part_name, (weight, _) in self._parts.items():
            value = parts[part_name][row]
            if value is None:
                return None
            total += weight * value
        return total
