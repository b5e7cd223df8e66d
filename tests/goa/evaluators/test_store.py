"""Scores that survive the run."""

import sqlite3
from pathlib import Path

import pytest

from goa.errors import EvaluatorError
from goa.evaluators.store import RewardStore, Stored
from goa.records import Example, Sample


def sample(candidate: str, source: str = "s", *references: str, key: str = "1") -> Sample:
    example = Example(id=key, source=source, references=references or ("r",))
    return Sample(example=example, candidate=candidate)


def test_what_was_kept_is_found_by_the_next_that_opens_the_store(tmp_path: Path) -> None:
    folder = tmp_path / ".goa" / "rewards"
    first = RewardStore(folder, "bleu|case:mixed")
    texts = ["", "a", "我们 😀", "\ud800\x00"]
    scored = [(sample(text), Stored(place / 7, (None, 0.5))) for place, text in enumerate(texts)]
    first.add(["x", "y"], scored)
    first.close()
    second = RewardStore(folder, "bleu|case:mixed")
    assert second.part_names == ("x", "y")
    assert second.find([sample(text) for text in [*texts, "new"]]) == [
        *(stored for _, stored in scored),
        None,
    ]


def test_source_references_and_candidate_tell_samples_apart_and_the_id_does_not(tmp_path) -> None:
    store = RewardStore(tmp_path, "bleu")
    store.add([], [(sample("c", "s", "r", "t"), Stored(0.5, ()))])
    others = [sample("c", "sr", "t"), sample("c", "s", "rt"), sample("c", "s", "t", "r")]
    assert store.find(others) == [None] * 3
    assert store.find([sample("c", "s", "r", "t", key="2")]) == [Stored(0.5, ())]


def test_another_signature_sees_nothing(tmp_path: Path) -> None:
    store = RewardStore(tmp_path, "bleu|case:mixed")
    store.add([], [(sample("c"), Stored(0.5, ()))])
    assert RewardStore(tmp_path, "bleu|case:lc").find([sample("c")]) == [None]


def test_two_that_write_at_once_see_what_the_other_wrote(tmp_path: Path) -> None:
    first, second = RewardStore(tmp_path, "bleu"), RewardStore(tmp_path, "bleu")
    first.add([], [(sample("a"), Stored(0.1, ()))])
    second.add([], [(sample("b", "t"), Stored(0.2, ())), (sample("a"), Stored(0.1, ()))])
    assert first.find([sample("b", "t")]) == [Stored(0.2, ())]


def test_names_of_parts_are_known_to_whoever_opened_the_store_before(tmp_path: Path) -> None:
    first, second = RewardStore(tmp_path, "rule"), RewardStore(tmp_path, "rule")
    assert second.part_names is None
    first.add(["x"], [(sample("a"), Stored(0.1, (0.2,)))])
    assert second.find([sample("a")]) == [Stored(0.1, (0.2,))]
    assert second.part_names == ("x",)


def test_memory_is_bounded_and_what_left_it_is_read_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("goa.evaluators.store.EXAMPLES_IN_MEMORY", 2)
    store = RewardStore(tmp_path, "bleu")
    samples = [sample("c", str(number)) for number in range(5)]
    store.add([], [(each, Stored(0.5, ())) for each in samples])
    assert len(store._memory) == 2
    assert store.find(samples) == [Stored(0.5, ())] * 5


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "scores").write_text("")
    with pytest.raises(EvaluatorError, match="scores: no folder .*; move what is there, or set sc"):
        RewardStore(tmp_path / "scores", "bleu")


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = RewardStore(tmp_path, "bleu").path
    for file in tmp_path.iterdir():
        file.unlink()
    path.write_text("not a database, but as long as one would be" * 50)
    with pytest.raises(EvaluatorError, match=rf"{path.name}: .*scoring.store"):
        RewardStore(tmp_path, "bleu")


def test_a_disk_that_is_full_while_scores_are_kept_says_what_to_do(tmp_path: Path) -> None:
    store = RewardStore(tmp_path, "signature")
    store._database.execute("PRAGMA max_page_count = 8")
    many = [(sample(f"{place} {'x' * 200}"), Stored(0.5, ())) for place in range(500)]
    with pytest.raises(EvaluatorError, match="is full; free some space"):
        store.add((), many)
    store.close()
    again = RewardStore(tmp_path, "signature")
    assert set(again.find([pair[0] for pair in many])) == {None}


def test_a_store_that_is_damaged_says_what_to_do(tmp_path: Path) -> None:
    store = RewardStore(tmp_path, "signature")
    store.add((), [(sample(f"{place} {'x' * 200}"), Stored(0.5, ())) for place in range(500)])
    store.close()
    content = store.path.read_bytes()
    store.path.write_bytes(content[:4096] + b"?" * (len(content) - 4096))
    with pytest.raises(EvaluatorError, match="delete it, or set"):
        RewardStore(tmp_path, "signature").find([sample("1")])


def test_numbers_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    store = RewardStore(tmp_path, "bleu")
    store.add([], [(sample("c"), Stored(1 / 3, ()))])
    rows = sqlite3.connect(store.path).execute("SELECT count(*) FROM scores").fetchone()
    assert rows == (1,)
    assert RewardStore(tmp_path, "bleu").find([sample("c")]) == [Stored(1 / 3, ())]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE scores SET scores = X'00'",
        "UPDATE scores SET scores = 'text'",
        "UPDATE evaluator SET part_names = '3'",
        "ALTER TABLE scores RENAME COLUMN scores TO other",
    ],
)
def test_a_store_that_holds_something_else_is_refused(tmp_path: Path, damage: str) -> None:
    sample = Sample(example=Example(id="1", source="a", references=("b",)), candidate="c")
    store = RewardStore(tmp_path, "signature")
    store.add(["part"], [(sample, Stored(0.5, (0.5,)))])
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute(damage)
    database.close()
    again = RewardStore(tmp_path, "signature")
    with pytest.raises(EvaluatorError, match=r"cannot be used: .*, else delete it"):
        _ = again.part_names, again.find([sample])
    again.close()
