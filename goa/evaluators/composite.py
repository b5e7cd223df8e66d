"""Several evaluators as one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from goa import __version__
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.kinds import Single
from goa.evaluators.learning import LearningEvaluator
from goa.evaluators.normalisation import Normalisation, normalise
from goa.evaluators.recipe import Influence, Recipe
from goa.records import Sample, Scores
from goa.settings import Name, Settings

Combination = Literal["weighted_mean", "product", "lexicographic"]


class CompositePartSettings(Settings):
    """One evaluator of a composite."""

    weight: float = Field(default=1.0, gt=0, le=1000)
    """Only the proportions of the weights count."""
    floor: float | None = Field(default=None, ge=0, le=1)
    """Lexicographic only: what the part has to reach, as given, before the next one counts."""
    normalise: Normalisation = "none"
    """How the part is compared among the candidates of a source; see :func:`normalise`."""
    evaluator: Annotated[Single, Field(discriminator="kind")]
    """Any kind but a composite."""


class CompositeSettings(Recipe):
    """Which evaluators, and how they make one value."""

    kind: Literal["composite"] = "composite"
    combine: Combination = "weighted_mean"
    """Weighted mean, weighted geometric mean, or in order of importance."""
    parts: dict[Name, CompositePartSettings] = Field(min_length=1)
    """By the names that the breakdown shows, without dots: ``name.part`` is a part's own part;
    lexicographic: the most important first."""

    @model_validator(mode="after")
    def _check_floors(self) -> Self:
        *earlier, (last, end) = self.parts.items()
        if self.combine != "lexicographic":
            for name, part in self.parts.items():
                if part.floor is not None:
                    raise ValueError(
                        f"parts.{name}.floor has no meaning for {self.combine}; leave it out, or "
                        "choose combine: lexicographic"
                    )
            return self
        if end.floor is not None:
            raise ValueError(
                f"parts.{last}.floor: no part comes after the last one, so it has no floor"
            )
        for name, part in earlier:
            if part.floor is None:
                raise ValueError(
                    f"parts.{name}.floor is missing: lexicographic asks when the part after it "
                    "begins to count"
                )
        return self

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: all that those of parts do, and siblings where they are compared."""
        found = {influence for part in self.parts.values() for influence in part.evaluator.hangs_on}
        if any(part.normalise != "none" for part in self.parts.values()):
            found.add("batch")
        return frozenset(found)

    def build(self, name: str) -> "Composite":
        """Build the evaluator."""
        return Composite(name, self)


class Composite(Evaluator):
    """One value of parts r_1 .. r_n with weights of proportions w_1 .. w_n, which sum to 1.

    - weighted_mean: ``sum_i w_i r_i``.
    - product: the weighted geometric mean ``prod_i r_i ** w_i``; 0 where a part is 0.
    - lexicographic: with j the number of leading parts that reach their floors f,
      ``w_1 + .. + w_j + w_(j+1) p``, where p is ``r_(j+1) / f_(j+1)`` for a part that misses its
      floor, and r_n for the last one. [0, 1] is cut into a band for each part, as wide as its
      weight: a candidate that reaches one floor more is above any that does not, and beyond its
      floor a part earns nothing more. A floor of 0 is always reached, and one of 1 by 1 alone.

    Parts may be normalised first (:func:`normalise`), and enter as that. Floors alone compare parts
    as given, since they ask what a candidate is worth by itself and not beside its siblings; a
    normalised part that misses its floor enters p undivided.

    The breakdown has each part as given, its own parts as ``name.part``, and ``name.normalised``.
    The composite applies where all of its parts do.
    """

    def __init__(self, name: str, settings: CompositeSettings) -> None:
        self.name = name
        self._combine = settings.combine
        self._parts = [
            Part(part_name, part, part.evaluator.build(f"{name}.{part_name}"))
            for part_name, part in settings.parts.items()
        ]
        total = sum(part.settings.weight for part in self._parts)
        self._shares = [part.settings.weight / total for part in self._parts]
        self.reads_batch = any(part.reads_batch for part in self._parts)
        self.draws = any(part.evaluator.draws for part in self._parts)

    @property
    def signature(self) -> str:  # type: ignore[override]
        """The recipe, with that of each part, which changes where a part learns."""
        recipes = [part.recipe for part in self._parts]
        return "|".join(
            ["composite", f"combine:{self._combine}", *recipes, f"version:goa-{__version__}"]
        )

    def learners(self) -> Sequence[LearningEvaluator]:
        """Give what learns among the parts."""
        return [learner for part in self._parts for learner in part.evaluator.learners()]

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples by every part, and combine."""
        measured = [part.measure(samples) for part in self._parts]
        rows = zip(
            zip(*(part.levels for part in measured), strict=True),
            zip(*(part.passed for part in measured), strict=True),
            strict=True,
        )
        return Scores(
            values=tuple(self._value(levels, passed) for levels, passed in rows),
            parts={name: column for part in measured for name, column in part.breakdown.items()},
        )

    def _value(self, levels: Sequence[float | None], passed: Sequence[bool]) -> float | None:
        known = [level for level in levels if level is not None]
        if len(known) < len(levels):
            return None
        match self._combine:
            case "weighted_mean":
                value = weighted_mean(known, self._shares)
            case "product":
                value = product(known, self._shares)
            case "lexicographic":
                value = lexicographic(known, passed, self._shares)
        return min(1.0, value)  # shares may sum to a rounding more than 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one part says of N samples."""

    levels: tuple[float | None, ...]
    """[N] what enters the composite."""
    passed: tuple[bool, ...]
    """[N] whether the part, as given, reaches its floor; False where it has none."""
    breakdown: Mapping[str, tuple[float | None, ...]]
    """What is shown of it, each [N]."""


class Part:
    """One part of a composite, at work."""

    def __init__(self, name: str, settings: CompositePartSettings, evaluator: Evaluator) -> None:
        self.name = name
        self.settings = settings
        self.evaluator = evaluator
        self.reads_batch = evaluator.reads_batch or settings.normalise != "none"

    @property
    def recipe(self) -> str:
        """What the composite's signature says of the part."""
        floor = "" if self.settings.floor is None else f">={self.settings.floor}"
        normalised = "" if self.settings.normalise == "none" else f"{self.settings.normalise} of "
        weighted = f"{self.settings.weight}*[{normalised}{self.evaluator.signature}]"
        return f"{self.name}:{weighted}{floor}"

    def measure(self, samples: Sequence[Sample]) -> Measured:
        """Score samples; normalise."""
        scores = checked_score(self.evaluator, samples)
        given, floor = scores.values, self.settings.floor
        parts = {f"{self.name}.{inner}": column for inner, column in scores.parts.items()}
        levels = normalise(given, samples, self.settings.normalise)
        if self.settings.normalise != "none":
            parts[f"{self.name}.normalised"] = levels
        elif floor:
            levels = tuple(value if value is None else min(1.0, value / floor) for value in given)
        return Measured(
            levels=levels,
            passed=tuple(
                value is not None and floor is not None and value >= floor for value in given
            ),
            breakdown={self.name: given, **parts},
        )


def weighted_mean(levels: Sequence[float], shares: Sequence[float]) -> float:
    """Give ``sum_i w_i r_i``."""
    return sum(share * level for level, share in zip(levels, shares, strict=True))


def product(levels: Sequence[float], shares: Sequence[float]) -> float:
    """Give ``prod_i r_i ** w_i``."""
    return float(math.prod(level**share for level, share in zip(levels, shares, strict=True)))


def lexicographic(
    levels: Sequence[float], passed: Sequence[bool], shares: Sequence[float]
) -> float:
    """Give the shares of the leading parts that passed, and the next one's share by its level."""
    below = 0.0
    for level, reached, share in zip(levels, passed, shares, strict=True):
        if not reached:
            return below + share * level
        below += share
    return below
