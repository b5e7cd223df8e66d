"""Relevance by rare words."""

import math
from pathlib import Path

import pytest

from goa.errors import EvaluatorError
from goa.evaluators.contract import checked_score
from goa.evaluators.tfidf import Tfidf, TfidfSettings
from goa.records import Example, Sample

EXAMPLES = [
    Example(id="1", source="cat", references=("the cat", "a cat")),
    Example(id="2", source="dog", references=("the dog the",)),
    Example(id="3", source="emu", references=("the emu",)),
]


def taught(against: str = "references") -> Tfidf:
    evaluator = TfidfSettings(against=against).build("tested")  # type: ignore[arg-type]
    evaluator.learn([Sample(example=each, candidate="x") for each in EXAMPLES], 1, anew=True)
    return evaluator


def sample(candidate: str, *references: str, source: str = "") -> Sample:
    example = Example(id="9", source=source, references=references)
    return Sample(example=example, candidate=candidate)


def test_a_hand_worked_case() -> None:
    # "the" is in 3 of 3 examples, "cat" in 1, "sat" in none.
    the, cat, sat = 1.0, 1 + math.log(4 / 2), 1 + math.log(4 / 1)
    expected = (2 * the * the + cat * cat) / (math.hypot(2 * the, cat, sat) * math.hypot(the, cat))
    (value,) = taught().score([sample("the cat the sat", "the cat")]).values
    assert value == pytest.approx(expected, rel=1e-12)


def test_of_several_references_the_closest_counts_and_the_source_where_told() -> None:
    several = sample("the emu", "the cat", "the emu", source="emu")
    assert taught().score([several]).values[0] == pytest.approx(1.0)
    emu = 1 + math.log(2)
    to_source = emu / math.hypot(1, emu)
    assert taught("source").score([several]).values[0] == pytest.approx(to_source)
    assert taught("both").score([several]).values[0] == pytest.approx((1 + to_source) / 2)


def test_a_rare_word_in_common_is_worth_more_than_a_frequent_one() -> None:
    rare, frequent = (
        taught().score([sample("the cat", "a cat"), sample("the cat", "the dog")]).values
    )
    assert rare is not None
    assert frequent is not None
    assert rare > frequent + 0.1


@pytest.mark.parametrize("text", ["", " . ", "\x00\ud800", "我们" * 100, "a " * 50_000, "مرحبا"])
def test_any_text_has_a_score(text: str) -> None:
    values = checked_score(taught(), [sample(text, "the cat"), sample("the cat", text)]).values
    assert None not in values


def test_it_does_not_score_before_it_has_counted(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="tested: has counted no words yet"):
        TfidfSettings().build("tested").score([sample("a", "a")])
    with pytest.raises(EvaluatorError, match="no weights of this evaluator"):
        TfidfSettings().build("tested").load(tmp_path)


def test_counts_come_back_from_a_folder(tmp_path: Path) -> None:
    first, second = taught(), TfidfSettings().build("tested")
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.signature == first.signature
    assert second.score([sample("the cat", "a cat")]) == first.score([sample("the cat", "a cat")])


def test_other_counts_have_another_signature() -> None:
    other = TfidfSettings().build("tested")
    assert other.signature.endswith("|untrained")
    other.learn([Sample(example=EXAMPLES[0], candidate="x")], 1, anew=True)
    assert other.signature != taught().signature


def test_what_was_counted_later_holds_for_references_that_were_scored_before() -> None:
    scored, lesson = [sample("the cat", "a cat")], [Sample(example=EXAMPLES[0], candidate="x")]
    fresh, again = TfidfSettings().build("tested"), taught()
    before = again.score(scored)
    told = again.learn(lesson, 1, anew=True)
    assert told == fresh.learn(lesson, 1, anew=True) == {"examples": 1, "words": 3}
    assert again.score(scored) == fresh.score(scored) != before


@pytest.mark.parametrize(
    ("against", "reads"), [("references", True), ("source", False), ("both", True)]
)
def test_scores_hang_on_references_unless_they_are_held_against_the_source(against, reads) -> None:
    assert ("references" in TfidfSettings(against=against).hangs_on) == reads
