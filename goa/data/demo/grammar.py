"""Small pieces of English: articles, agreement, noun phrases, joining clauses into sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from goa.data.demo.dice import Dice
from goa.data.demo.lexicon import Noun


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Who speaks, and when: kept throughout one text."""

    past: bool
    """Whether the visit is told ("was") or the place described ("is")."""
    plural: bool
    """Whether the speaker is "we"."""

    @property
    def speaker(self) -> str:
        """The pronoun of the speaker."""
        return "we" if self.plural else "I"

    def be(self, *, plural: bool) -> str:
        """Inflect "to be" for a third person."""
        if plural:
            return "were" if self.past else "are"
        return "was" if self.past else "is"

    def have(self) -> str:
        """Inflect "to have" for "it"."""
        return "had" if self.past else "has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A main clause without capital or full stop."""

    text: str
    """Such as "the food was superb"."""
    level: int
    """Judgement from -2 to 2; its sign decides between "and" and "but"."""


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase; no word of the lexicon breaks the vowel rule."""
    return f"an {phrase}" if phrase[0].lower() in "aeiou" else f"a {phrase}"


def attributive(noun: Noun, adjective: str) -> str:
    """Join an adjective and a noun: "good food", "a nice view", "clean rooms"."""
    phrase = f"{adjective} {noun.text}"
    return with_article(phrase) if noun.countable else phrase


def opposed(first: int, second: int) -> bool:
    """Say whether two judgements pull in different directions."""
    return first * second < 0


def join(clauses: Sequence[Clause], dice: Dice) -> list[str]:
    """Join clauses two by two into sentences; the last one stands alone if they are odd."""
    sentences = []
    for start in range(0, len(clauses), 2):
        pair = clauses[start : start + 2]
        joined = pair[0].text if len(pair) == 1 else _join_two(pair[0], pair[1], dice)
        sentences.append(sentence(joined))
    return sentences


def _join_two(first: Clause, second: Clause, dice: Dice) -> str:
    if not opposed(first.level, second.level):
        return f"{first.text}{dice.prefer((' and ', ', and '))}{second.text}"
    return dice.prefer(
        (
            f"{first.text}, but {second.text}",
            f"although {first.text}, {second.text}",
            f"while {first.text}, {second.text}",
        )
    )


def sentence(text: str) -> str:
    """Give a text its capital and its full stop."""
    return f"{text[0].upper()}{text[1:]}."
