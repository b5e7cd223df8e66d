"""What there is to say about a place of the demo corpus, and the words for it.

The judgements lean on words whose sentiment a lexicon such as VADER's knows, so that a text about
a good place reads as positive to a sentiment score, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A noun as it is used in a sentence."""

    text: str
    """Without its article."""
    plural: bool = False
    """Whether verbs agree in the plural."""
    countable: bool = False
    """Whether an adjective before it needs an article ("a nice view", but "good food")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One thing that can be true of an aspect."""

    word: str
    """What the meaning says; not always what the sentence says."""
    level: int
    """Judgement from -2 (terrible) to 2 (wonderful)."""
    adjectives: tuple[str, ...]
    """How it is said, the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """Something of a place that can be judged."""

    key: str
    """What the meaning calls it."""
    nouns: tuple[Noun, ...]
    """What the sentence calls it, the likeliest first."""
    values: tuple[Value, ...]
    """What can be true of it; at least one value a judgement above, at and below zero."""


def _mass(*texts: str) -> tuple[Noun, ...]:
    return tuple(Noun(text=text) for text in texts)


def _plural(*texts: str) -> tuple[Noun, ...]:
    return tuple(Noun(text=text, plural=True) for text in texts)


def _one(*texts: str) -> tuple[Noun, ...]:
    return tuple(Noun(text=text, countable=True) for text in texts)


def _aspect(key: str, nouns: tuple[Noun, ...], *values: tuple[int, str]) -> Aspect:
    """Make an aspect; the first adjective of a value is also its word in the meaning."""
    found = []
    for level, adjectives in values:
        words = tuple(adjectives.split(", "))
        found.append(Value(word=words[0], level=level, adjectives=words))
    return Aspect(key=key, nouns=nouns, values=tuple(found))


ASPECTS: Mapping[str, Aspect] = {
    aspect.key: aspect
    for aspect in (
        _aspect(
            "food",
            (*_mass("food", "cooking"), *_plural("dishes", "meals")),
            (2, "delicious, superb, wonderful"),
            (1, "tasty, good, enjoyable"),
            (0, "plain, simple, ordinary"),
            (-1, "bland, poor, disappointing"),
            (-2, "awful, terrible, horrible"),
        ),
        _aspect(
            "coffee",
            _mass("coffee", "espresso"),
            (2, "excellent, perfect, fantastic"),
            (1, "fresh, good, rich"),
            (0, "average, ordinary"),
            (-1, "weak, watery, poor"),
            (-2, "horrible, awful, bitter"),
        ),
        _aspect(
            "beer",
            _mass("beer", "ale"),
            (2, "great, excellent, superb"),
            (1, "fresh, good, crisp"),
            (-1, "stale, poor, disappointing"),
            (-2, "dreadful, terrible, awful"),
        ),
        _aspect(
            "cakes",
            _plural("cakes", "pastries"),
            (2, "heavenly, delicious, superb"),
            (1, "fresh, tasty, good"),
            (-1, "dry, stale, disappointing"),
            (-2, "horrible, awful, inedible"),
        ),
        _aspect(
            "breakfast",
            _one("breakfast"),
            (2, "fantastic, excellent, wonderful"),
            (1, "generous, good, fresh"),
            (0, "simple, plain, basic"),
            (-1, "poor, meagre, disappointing"),
            (-2, "miserable, awful, dreadful"),
        ),
        _aspect(
            "service",
            _mass("service"),
            (2, "excellent, outstanding, wonderful"),
            (1, "friendly, quick, good"),
            (0, "ordinary, average"),
            (-1, "slow, poor, careless"),
            (-2, "rude, terrible, appalling"),
        ),
        _aspect(
            "staff",
            (*_plural("staff", "employees"), Noun(text="team", plural=True, countable=True)),
            (2, "charming, wonderful, delightful"),
            (1, "helpful, friendly, polite"),
            (-1, "careless, impatient, unhelpful"),
            (-2, "rude, horrible, arrogant"),
        ),
        _aspect(
            "rooms",
            _plural("rooms", "bedrooms"),
            (2, "beautiful, spotless, lovely"),
            (1, "clean, comfortable, nice"),
            (0, "small, plain, basic"),
            (-1, "shabby, gloomy, uncomfortable"),
            (-2, "dirty, filthy, horrible"),
        ),
        _aspect(
            "beds",
            _plural("beds", "mattresses"),
            (2, "perfect, wonderful, heavenly"),
            (1, "comfortable, good, soft"),
            (-1, "hard, uncomfortable, poor"),
            (-2, "broken, terrible, dreadful"),
        ),
        _aspect(
            "view",
            _one("view", "outlook"),
            (2, "stunning, breathtaking, glorious"),
            (1, "nice, pleasant, lovely"),
            (0, "ordinary, unremarkable"),
            (-1, "dull, disappointing, gloomy"),
            (-2, "ugly, horrible, grim"),
        ),
        _aspect(
            "seats",
            _plural("seats", "chairs"),
            (2, "luxurious, perfect, superb"),
            (1, "comfortable, roomy, good"),
            (0, "plain, basic"),
            (-1, "hard, uncomfortable, worn"),
            (-2, "broken, terrible, awful"),
        ),
        _aspect(
            "music",
            _mass("music", "live music"),
            (2, "brilliant, amazing, fantastic"),
            (1, "pleasant, good, enjoyable"),
            (-1, "annoying, dull, loud"),
            (-2, "dreadful, terrible, awful"),
        ),
        _aspect(
            "collection",
            _one("collection", "selection"),
            (2, "magnificent, outstanding, amazing"),
            (1, "interesting, good, impressive"),
            (0, "small, modest, average"),
            (-1, "boring, dull, poor"),
            (-2, "pathetic, hopeless, terrible"),
        ),
        _aspect(
            "guides",
            _plural("guides", "tour guides"),
            (2, "brilliant, fascinating, wonderful"),
            (1, "patient, friendly, helpful"),
            (-1, "boring, impatient, confusing"),
            (-2, "arrogant, useless, awful"),
        ),
        _aspect(
            "acting",
            (*_mass("acting"), *_plural("actors", "performances")),
            (2, "brilliant, outstanding, superb"),
            (1, "convincing, good, clever"),
            (0, "uneven, average"),
            (-1, "wooden, lame, weak"),
            (-2, "hopeless, dreadful, terrible"),
        ),
        _aspect(
            "showers",
            _plural("showers", "bathrooms"),
            (2, "spotless, perfect, excellent"),
            (1, "clean, warm, good"),
            (-1, "cold, freezing, poor"),
            (-2, "disgusting, broken, filthy"),
        ),
    )
}

GENERAL: Mapping[int, tuple[str, ...]] = {
    2: ("wonderful", "excellent", "fantastic", "outstanding"),
    1: ("good", "nice", "enjoyable"),
    0: ("ordinary", "average", "nothing special"),
    -1: ("disappointing", "poor", "not good"),
    -2: ("terrible", "awful", "dreadful", "horrible"),
}
"""Adjectives by level that fit any aspect."""
