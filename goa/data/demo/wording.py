"""How a review of the demo corpus is put into words: the same meaning, many texts."""

from collections.abc import Mapping

from goa.data.demo.dice import Dice
from goa.data.demo.grammar import (
    Clause,
    Voice,
    attributive,
    join,
    opposed,
    sentence,
    with_article,
)
from goa.data.demo.lexicon import GENERAL, Noun
from goa.data.demo.meaning import Fact, Meaning
from goa.data.demo.places import AREAS, COMPANY, ROUTES

_PRICES: Mapping[tuple[str, str], tuple[tuple[int, str], ...]] = {
    ("low", "recommended"): (
        (1, "it {be} great value"),
        (1, "it {be} a real bargain"),
        (1, "it {be} cheap for something so good"),
    ),
    ("low", "mixed"): ((1, "at least it {be} cheap"), (1, "the prices {are} low")),
    ("low", "avoid"): (
        (-1, "you get what you pay for"),
        (-1, "it {be} cheap for a reason"),
    ),
    ("fair", "recommended"): ((1, "the prices {are} fair"), (1, "it {be} good value")),
    ("fair", "mixed"): ((1, "the prices {are} reasonable"), (1, "the prices {are} fair")),
    ("fair", "avoid"): ((-1, "it {be} not worth the money"), (-1, "it {be} poor value")),
    ("high", "recommended"): (
        (1, "it {be} worth every penny"),
        (1, "it {be} expensive but worth it"),
    ),
    ("high", "mixed"): ((-1, "it {be} rather expensive"), (-1, "the prices {are} high")),
    ("high", "avoid"): ((-2, "it {be} badly overpriced"), (-2, "it {be} a waste of money")),
}
"""What a price means depends on what one gets for it."""

_CROWDS: Mapping[tuple[str, bool], tuple[int, tuple[str, ...]]] = {
    ("busy", True): (1, ("lively", "busy and cheerful", "full of life")),
    ("busy", False): (-1, ("too crowded", "packed and noisy", "far too noisy")),
    ("quiet", True): (-1, ("dead", "sadly empty", "empty and dull")),
    ("quiet", False): (1, ("peaceful", "nice and quiet", "calm")),
}
"""A crowd is welcome in a pub and a nuisance in a museum."""

_CLOSINGS: Mapping[str, tuple[str, ...]] = {
    "recommended": (
        "highly recommended",
        "{we} loved it",
        "{we} would gladly go back",
        "it is well worth a visit",
        "{we} recommend it to everyone",
        "do yourself a favour and go",
    ),
    "mixed": (
        "a mixed bag",
        "it depends on what you want",
        "{we} might give it another chance",
        "all in all, it could go either way",
        "{we} cannot quite decide",
    ),
    "avoid": (
        "avoid it",
        "{we} hated it",
        "{we} regret going there",
        "it {be} a great disappointment",
        "going there was a mistake",
        "a waste of time and money",
    ),
}

_FEELINGS: Mapping[int, tuple[str, ...]] = {
    2: ("loved", "adored"),
    1: ("liked", "enjoyed"),
    -1: ("did not like", "were not happy with"),
    -2: ("hated", "could not stand"),
}


def write_reference(meaning: Meaning, dice: Dice) -> str:
    """Put a meaning into one to five sentences.

    What may be left out, how the facts are ordered and joined, and which words are used are drawn;
    the name, the kind of place and the judged facts are always said.
    """
    visit = dice.chance(0.8 if meaning.company is not None else 0.35)
    plural = meaning.company is not None or dice.chance(0.4)
    voice = Voice(past=visit, plural=plural)
    facts = _ordered(meaning, dice)
    opening, rest = _opening(meaning, facts, voice, dice)
    clauses = [*_fact_clauses(rest, voice, dice), *_circumstances(meaning, voice, dice)]
    sentences = [sentence(opening), *join(clauses, dice)]
    if not clauses or _is_torn(meaning) or dice.chance(0.65):
        closing = dice.prefer(_CLOSINGS[meaning.verdict])
        sentences.append(sentence(closing.format(we=voice.speaker, be=voice.be(plural=False))))
    return " ".join(sentences)


def _is_torn(meaning: Meaning) -> bool:
    """Say whether some facts speak for the place and some against it."""
    levels = [fact.value.level for fact in meaning.facts]
    return opposed(min(levels), max(levels))


def _ordered(meaning: Meaning, dice: Dice) -> list[Fact]:
    """Order the facts; a clear verdict grants the other side its point first."""
    order = dice.prefer(("given", "good first", "bad first"))
    if meaning.verdict != "mixed" and _is_torn(meaning):
        order = "bad first" if meaning.verdict == "recommended" else "good first"
    if order == "given":
        return list(meaning.facts)
    sign = -1 if order == "good first" else 1
    return sorted(meaning.facts, key=lambda fact: sign * fact.value.level)


def _opening(
    meaning: Meaning, facts: list[Fact], voice: Voice, dice: Dice
) -> tuple[str, list[Fact]]:
    """Introduce the place; return the sentence and the facts that are still to be said."""
    name, place = f"The {meaning.name}", _place(meaning, dice)
    if voice.past:
        company = ""
        if meaning.company is not None:
            company = f", with {dice.prefer(COMPANY[meaning.company])}"
        verb = dice.prefer(meaning.kind.visited)
        return f"{voice.speaker} {verb} {name}, {place}{company}", facts
    style = dice.prefer(("with", "plain", "has", "whose"))
    if style == "with":
        first, second = (_phrase(fact, dice) for fact in facts[:2])
        link = "but" if opposed(facts[0].value.level, facts[1].value.level) else "and"
        return f"{name} is {place} with {first} {link} {second}", facts[2:]
    if style == "has":
        return f"{name}, {place}, has {_phrase(facts[0], dice)}", facts[1:]
    if style == "whose":
        noun, adjective = _words(facts[0], dice)
        be = voice.be(plural=noun.plural)
        return f"{name} is {place} whose {noun.text} {be} {adjective}", facts[1:]
    return f"{name} is {place}", facts


def _place(meaning: Meaning, dice: Dice) -> str:
    """Name the kind of place and where it is: "an inn by the river"."""
    kind = with_article(dice.prefer(meaning.kind.nouns))
    if meaning.where is None or dice.chance(0.1):
        return kind
    wheres = ROUTES if meaning.kind.travels else AREAS
    return f"{kind} {dice.prefer(wheres[meaning.where])}"


def _words(fact: Fact, dice: Dice) -> tuple[Noun, str]:
    return dice.prefer(fact.aspect.nouns), dice.prefer(fact.value.adjectives)


def _phrase(fact: Fact, dice: Dice) -> str:
    return attributive(*_words(fact, dice))


def _fact_clauses(facts: list[Fact], voice: Voice, dice: Dice) -> list[Clause]:
    """Say each fact in a clause of its own, or two of one level together."""
    if len(facts) >= 2 and facts[0].value.level == facts[1].value.level and dice.chance(0.4):
        first, second = (dice.prefer(fact.aspect.nouns).text for fact in facts[:2])
        level = facts[0].value.level
        adjective = dice.prefer(GENERAL[level])
        be = voice.be(plural=True)
        text = f"both the {first} and the {second} {be} {adjective}"
        return [Clause(text=text, level=level), *_fact_clauses(facts[2:], voice, dice)]
    return [_fact_clause(fact, voice, dice) for fact in facts]


def _fact_clause(fact: Fact, voice: Voice, dice: Dice) -> Clause:
    level = fact.value.level
    noun, adjective = _words(fact, dice)
    style = dice.prefer(("be", "be", "intensified", "have", "feel"))
    if style == "have":
        text = f"it {voice.have()} {attributive(noun, adjective)}"
    elif style == "feel" and voice.past and level in _FEELINGS:
        feeling = dice.prefer(_FEELINGS[level])
        if not voice.plural:
            feeling = feeling.replace("were ", "was ")
        text = f"{voice.speaker} {feeling} the {noun.text}"
    else:
        degree = dice.prefer(("really ", "truly ")) if abs(level) == 2 else "quite "
        degree = degree if style == "intensified" and level != 0 else ""
        text = f"the {noun.text} {voice.be(plural=noun.plural)} {degree}{adjective}"
    return Clause(text=text, level=level)


def _circumstances(meaning: Meaning, voice: Voice, dice: Dice) -> list[Clause]:
    """Say how full and how dear it is, each left out now and then."""
    forms = {"be": voice.be(plural=False), "are": voice.be(plural=True)}
    clauses = []
    if meaning.crowd is not None and dice.chance(0.9):
        level, adjectives = _CROWDS[meaning.crowd, meaning.kind.likes_crowds]
        subject = dice.prefer(("it", "the place", f"the {meaning.kind.nouns[0]}"))
        text = f"{subject} {forms['be']} {dice.prefer(adjectives)}"
        clauses.append(Clause(text=text, level=level))
    if meaning.price is not None and dice.chance(0.9):
        level, text = dice.prefer(_PRICES[meaning.price, meaning.verdict])
        clauses.append(Clause(text=text.format(**forms), level=level))
    return clauses
