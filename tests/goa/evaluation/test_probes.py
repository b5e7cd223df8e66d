"""Texts that nobody wants."""

from goa.evaluation import probes as module
from goa.evaluation.probes import KINDS, Frequent, most_frequent, probes
from goa.records import Example


def make(example_id: str, *references: str) -> Example:
    return Example(id=example_id, source=f"source {example_id}", references=references)


def test_the_most_frequent_are_counted_over_all_references() -> None:
    examples = [make("0", "c c", "b a"), make("1", "b a"), make("2", "c d e")]
    assert most_frequent(examples) == Frequent(word="c", sentence="b a")


def test_of_ties_the_first_counts() -> None:
    assert most_frequent([make("0", "b a"), make("1", "a b")]) == Frequent(word="b", sentence="b a")


def test_where_there_is_nothing_nothing_is_most_frequent() -> None:
    assert most_frequent([]) == Frequent(word="", sentence="")


def test_no_more_examples_are_counted_than_it_takes(monkeypatch) -> None:
    monkeypatch.setattr(module, "COUNTED_EXAMPLES", 1)
    assert most_frequent([make("0", "a"), make("1", "b b")]).word == "a"


def test_every_kind_is_what_it_says() -> None:
    examples = [make("0", "one two three", "other"), make("1", "one")]
    found = probes(examples, Frequent(word="a", sentence="a b"), seed=0)
    assert found.keys() == KINDS.keys()
    assert found["empty"] == ("", "")
    assert found["source"] == ("source 0", "source 1")
    assert found["repeated"] == ("a a a", "a")
    assert found["frequent"] == ("a b", "a b")
    assert [sorted(text.split()) for text in found["shuffled"]] == [
        ["one", "three", "two"],
        ["one"],
    ]


def test_the_shuffled_order_follows_from_seed_and_example_alone() -> None:
    text = " ".join(map(str, range(20)))
    one, other, again = make("1", text), make("2", text), make("1", text)
    frequent = Frequent(word="a", sentence="a")

    def shuffled(*examples: Example, seed: int = 0) -> tuple[str, ...]:
        return probes(examples, frequent, seed)["shuffled"]

    first, second = shuffled(one, other)
    assert len({text, first, second, *shuffled(one, seed=1)}) == 4
    assert shuffled(again) == (first,)
