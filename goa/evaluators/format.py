"""Whether a candidate has the form that was asked for."""

import json
from collections.abc import Iterator, Sequence
from typing import Literal, NoReturn, Self

import regex  # type: ignore[import-untyped]
from pydantic import Field, field_validator, model_validator

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.recipe import NOTHING, Influence, Recipe
from goa.records import Sample, Scores

SECONDS_PER_MATCH = 1.0
"""How long a pattern may take on one candidate; some take ages on texts made for it."""


class FormatSettings(Recipe):
    """What a candidate has to be, to contain, or to leave out."""

    kind: Literal["format"] = "format"
    pattern: str | None = None
    """Regular expression (the package regex) that the whole candidate has to match."""
    contains: list[str] = Field(default_factory=list)
    """Strings that have to occur, each."""
    excludes: list[str] = Field(default_factory=list)
    """Strings that must not occur."""
    valid_json: bool = False
    """Whether the candidate has to be a JSON text (RFC 8259)."""
    ignore_case: bool = False
    """Whether capitals make no difference to pattern and strings."""
    pays: Literal["all", "share"] = "all"
    """all: 1 where all conditions hold, else 0; share: the share of them that hold."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            regex.compile(pattern or "")
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("contains", "excludes")
    @classmethod
    def _are_not_empty(cls, texts: list[str]) -> list[str]:
        if "" in texts:
            raise ValueError("the empty string occurs in every text")
        return texts

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.pattern is None and not (self.contains or self.excludes or self.valid_json):
            raise ValueError("name at least one of pattern, contains, excludes, valid_json")
        return self

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: the candidate alone."""
        return NOTHING

    def build(self, name: str) -> "Format":
        """Build the evaluator."""
        return Format(name, self)


class Format(Evaluator):
    """Conditions on the candidate alone.

    The breakdown has the share of conditions that hold for each sort of them that is set: pattern,
    contains, excludes, valid_json.
    """

    def __init__(self, name: str, settings: FormatSettings) -> None:
        self.name = name
        self.signature = describe(settings, "goa", "regex")
        self._settings = settings
        flags = regex.IGNORECASE if settings.ignore_case else 0
        self._pattern = None if settings.pattern is None else regex.compile(settings.pattern, flags)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate by itself; references are not looked at.

        Raises:
            EvaluatorError: the pattern takes longer than a second on a candidate.
        """
        held = [dict(self._conditions(sample)) for sample in samples]
        columns = {
            sort: tuple(sum(row[sort]) / len(row[sort]) for row in held) for sort in self._sorts
        }
        return Scores(values=tuple(self._value(row) for row in held), parts=columns)

    @property
    def _sorts(self) -> list[str]:
        names = ("pattern", "contains", "excludes", "valid_json")
        return [name for name in names if getattr(self._settings, name) not in (None, [], False)]

    def _value(self, held: dict[str, list[bool]]) -> float:
        conditions = [holds for sort in held.values() for holds in sort]
        if self._settings.pays == "all":
            return float(all(conditions))
        return sum(conditions) / len(conditions)

    def _conditions(self, sample: Sample) -> Iterator[tuple[str, list[bool]]]:
        """Say of each condition whether it holds, sort by sort."""
        settings, text = self._settings, self._fold(sample.candidate)
        if self._pattern is not None:
            yield "pattern", [self._matches(sample)]
        if settings.contains:
            yield "contains", [self._fold(wanted) in text for wanted in settings.contains]
        if settings.excludes:
            yield "excludes", [self._fold(banned) not in text for banned in settings.excludes]
        if settings.valid_json:
            yield "valid_json", [is_json(sample.candidate)]

    def _fold(self, text: str) -> str:
        return text.casefold() if self._settings.ignore_case else text

    def _matches(self, sample: Sample) -> bool:
        assert self._pattern is not None
        try:
            found = self._pattern.fullmatch(sample.candidate, timeout=SECONDS_PER_MATCH)
        except TimeoutError:
            raise EvaluatorError(
                f"evaluator {self.name}: the pattern takes longer than {SECONDS_PER_MATCH:g} s on "
                f"a candidate of example {sample.example.id!r}; make it simpler"
            ) from None
        return found is not None


def is_json(text: str) -> bool:
    """Say whether a text is JSON; NaN and infinities, which Python reads, are none."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
