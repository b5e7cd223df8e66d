"""The built-in corpus: English, ambiguous, and the same for ever."""

import re
from collections import Counter
from itertools import islice

import pytest
import sacrebleu
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from goa.data.demo import demo_example, demo_examples
from goa.data.demo.lexicon import ASPECTS, GENERAL, Aspect
from goa.data.demo.places import AREAS, COMPANY, KINDS, ROUTES
from goa.records import Example

NUM = 1000


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(demo_examples(17, NUM))


@pytest.fixture(scope="module")
def references(examples) -> list[str]:
    return [reference for example in examples for reference in example.references]


def _value(example: Example, key: str) -> str | None:
    return dict(pair.split(" = ") for pair in example.source.split(" ; ")).get(key)


def test_an_example_depends_on_nothing_but_seed_and_index(examples):
    assert demo_example(17, 400) == examples[400]
    assert list(islice(demo_examples(17, 10**9), 5)) == examples[:5]
    assert demo_example(18, 400) != examples[400]


def test_the_corpus_stays_what_it_is():
    """The numbers written down for the demo corpus hold only while its texts do."""
    example = demo_example(17, 0)

    assert example.source == (
        "name = The Winter Stag ; place = pub ; service = slow ; food = bland ; staff = rude ; "
        "verdict = avoid"
    )
    assert example.references[0] == (
        "The Winter Stag is a tavern with an arrogant team and slow service. It has poor cooking. "
        "Avoid it."
    )


def test_sources_differ(examples):
    assert len({example.source for example in examples}) == NUM


def test_each_source_has_two_to_four_different_references(examples):
    counts = Counter(len(example.references) for example in examples)

    assert set(counts) == {2, 3, 4}
    assert all(len(set(example.references)) == len(example.references) for example in examples)


def test_people_would_disagree_but_not_wholly(examples):
    """The first reference scores between 0.3 and 0.55 BLEU against the others."""
    others = [[*example.references[1:], None, None][:3] for example in examples]
    streams = [list(stream) for stream in zip(*others, strict=True)]

    bleu = sacrebleu.corpus_bleu([example.references[0] for example in examples], streams)

    assert 30 < bleu.score < 55


def test_the_vocabulary_is_small_but_not_tiny(examples, references):
    texts = [example.source for example in examples] + references

    assert 400 <= len({word for text in texts for word in re.findall(r"\w+", text)}) <= 900


def test_a_text_feels_as_its_verdict_says(examples):
    """VADER's compound has the verdict's sign in 99 of 100 texts, and clearly so on average."""
    analyzer = SentimentIntensityAnalyzer()
    for verdict, sign in (("recommended", 1), ("avoid", -1)):
        compounds = [
            sign * analyzer.polarity_scores(reference)["compound"]
            for example in examples
            if _value(example, "verdict") == verdict
            for reference in example.references
        ]

        assert sum(compound > 0 for compound in compounds) > 0.99 * len(compounds)
        assert sum(compounds) / len(compounds) > 0.7


def test_articles_and_verbs_agree(references):
    text = " ".join(references)

    assert not re.search(r"\b[Aa] [aeiou]", text)
    assert not re.search(r"\b[Aa]n [^aeiou]", text)
    assert not re.search(r"\b(rooms|beds|seats|staff|dishes|showers|prices) (is|was)\b", text)
    alone = re.sub(r"[Bb]oth the [a-z ]+ and the [a-z ]+ (were|are)", "", text)
    assert not re.search(r"\b(food|view|service|coffee|collection|it) (are|were)\b", alone)
    assert not re.search(r"\bI (were|are)\b|\bwe was\b", text)


def test_sentences_are_well_formed(references):
    for reference in references:
        assert re.fullmatch(r"([A-Z][A-Za-z ,]*[a-z]\. )*[A-Z][A-Za-z ,]*[a-z]\.", reference)
        assert "  " not in reference
        assert "{" not in reference


def test_a_text_keeps_to_its_tense(references):
    for reference in references:
        visit = not reference.startswith("The ")
        described = reference.replace("Going there was a mistake", "")

        assert visit or not re.search(r"\b(was|were|had)\b", described), reference


def test_a_clear_verdict_grants_the_other_side_its_point_first(examples):
    """One bad fact of a recommended place is said before the good ones, and the other way round."""
    for example in examples:
        sign = {"recommended": 1, "avoid": -1, "mixed": 0}[str(_value(example, "verdict"))]
        levels = {
            aspect: value.level * sign
            for aspect in ASPECTS.values()
            for value in aspect.values
            if value.word == _value(example, aspect.key)
        }
        if min(levels.values()) < 0:
            for reference in example.references:
                first = min(levels, key=lambda aspect: _place_of(aspect, reference))
                assert levels[first] < 0, reference


def _place_of(aspect: Aspect, text: str) -> int:
    text = text.replace("coffee house", "cafe")
    return min(text.find(noun.text) for noun in aspect.nouns if noun.text in text)


def test_a_price_is_worded_by_what_one_gets_for_it(examples):
    worded = {
        verdict: {
            "overpriced" in reference or "waste of money" in reference
            for example in examples
            if _value(example, "price") == "high" and _value(example, "verdict") == verdict
            for reference in example.references
        }
        for verdict in ("recommended", "avoid")
    }

    assert worded == {"recommended": {False}, "avoid": {True, False}}


def test_names_and_judged_facts_are_always_said(examples):
    adjectives = {
        (aspect.key, value.word): (*value.adjectives, *GENERAL[value.level])
        for aspect in ASPECTS.values()
        for value in aspect.values
    }
    felt = ("loved", "adored", "liked", "enjoyed", "like", "happy", "hated", "stand")
    for example in examples:
        for reference in example.references:
            assert str(_value(example, "name")) in reference
            for key in ASPECTS:
                word = _value(example, key)
                said = adjectives.get((key, word or ""), ("",))
                assert any(option in reference for option in (*said, *felt)), (word, reference)


def test_all_the_lexicon_is_used(references):
    text = " ".join(references)
    used = [
        *(noun.text for aspect in ASPECTS.values() for noun in aspect.nouns),
        *(noun for kind in KINDS for noun in kind.nouns),
        *(phrase for table in (AREAS, ROUTES, COMPANY) for row in table.values() for phrase in row),
    ]

    assert [phrase for phrase in used if phrase not in text] == []
