"""What a review of the demo corpus says, before it is put into words."""

from collections.abc import Sequence
from dataclasses import dataclass

from goa.data.demo.dice import Dice
from goa.data.demo.lexicon import ASPECTS, Aspect, Value
from goa.data.demo.places import (
    AREAS,
    COMPANY,
    KINDS,
    NAME_ADJECTIVES,
    NAME_NOUNS,
    ROUTES,
    Kind,
)

VERDICTS = ("recommended", "avoid", "mixed")
PRICES = ("low", "fair", "high")
CROWDS = ("busy", "quiet")

_LEVELS: dict[str, tuple[tuple[int, ...], ...]] = {
    "recommended": ((2, 1), (2, 2), (1, 1), (2, 1, 0), (2, 1, 1), (2, 2, -1)),
    "avoid": ((-2, -1), (-2, -2), (-1, -1), (-2, -1, 0), (-2, -1, -1), (-2, -2, 1)),
    "mixed": ((1, -1), (2, -2), (2, -1), (1, 0, -1), (1, -2, 0)),
}
"""Levels of the facts that lead to each verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One judged aspect."""

    aspect: Aspect
    """What is judged."""
    value: Value
    """What is true of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Everything a review may say."""

    name: str
    """Of the place, without the article."""
    kind: Kind
    """What sort of place it is."""
    where: str | None
    """Key of its area, or of its route if it travels."""
    facts: tuple[Fact, ...]
    """Two or three judged aspects."""
    crowd: str | None
    """How full it is: good or bad according to the kind."""
    price: str | None
    """How much it asks."""
    company: str | None
    """Who came along."""
    verdict: str
    """Overall judgement; agrees with the facts."""

    def source(self) -> str:
        """Write the meaning down as ``key = value`` pairs with semicolons between."""
        optional = [("crowd", self.crowd), ("price", self.price), ("with", self.company)]
        pairs = [
            ("name", f"The {self.name}"),
            ("place", self.kind.word),
            ("route" if self.kind.travels else "area", self.where),
            *((fact.aspect.key, fact.value.word) for fact in self.facts),
            *optional,
            ("verdict", self.verdict),
        ]
        return " ; ".join(f"{key} = {value}" for key, value in pairs if value is not None)


def draw_meaning(dice: Dice) -> Meaning:
    """Draw a meaning whose parts agree with one another."""
    kind = dice.pick(KINDS)
    verdict = dice.pick(VERDICTS)
    wheres = ROUTES if kind.travels else AREAS
    return Meaning(
        name=f"{dice.pick(NAME_ADJECTIVES)} {dice.pick(NAME_NOUNS)}",
        kind=kind,
        where=dice.pick(tuple(wheres)) if dice.chance(0.8) else None,
        facts=_draw_facts(kind, dice.pick(_LEVELS[verdict]), dice),
        crowd=_draw_crowd(kind, verdict, dice) if dice.chance(0.3) else None,
        price=dice.pick(PRICES) if dice.chance(0.5) else None,
        company=dice.pick(tuple(COMPANY)) if dice.chance(0.35) else None,
        verdict=verdict,
    )


def _draw_facts(kind: Kind, levels: Sequence[int], dice: Dice) -> tuple[Fact, ...]:
    aspects = dice.shuffled([ASPECTS[key] for key in kind.aspects])
    wanted = dice.shuffled(levels)
    return tuple(
        Fact(aspect=aspect, value=_nearest(aspect, level))
        for aspect, level in zip(aspects, wanted, strict=False)
    )


def _nearest(aspect: Aspect, level: int) -> Value:
    """Find the value of a level; an aspect without a neutral word takes its mildest praise."""
    return min(aspect.values, key=lambda value: (abs(value.level - level), -value.level))


def _draw_crowd(kind: Kind, verdict: str, dice: Dice) -> str:
    """Draw how full the place is, so that it supports a clear verdict."""
    if verdict == "mixed":
        return dice.pick(CROWDS)
    welcome = "busy" if kind.likes_crowds else "quiet"
    unwelcome = "quiet" if kind.likes_crowds else "busy"
    return welcome if verdict == "recommended" else unwelcome
