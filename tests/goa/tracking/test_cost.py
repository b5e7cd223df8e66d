"""What a stage cost, on disk."""

from pathlib import Path

import pytest

from goa.errors import DataError
from goa.tracking.cost import Work, load_cost, save_cost
from tests.costs import make_cost

COST = make_cost(
    "evaluate@bleu-17",
    seconds=12.5,
    energy=830.25,
    work={"greedy": Work(seconds=2.0, sentences=300, tokens=4100)},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a cost."""
    path = tmp_path / "evaluate@bleu-17.json"
    save_cost(path, COST)
    return path


def test_a_cost_comes_back_as_it_was_written(path: Path) -> None:
    assert load_cost(path) == COST


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("12.5", '"12.5"', "seconds: Input should be a valid number"),
        ('"tokens": 4100', '"tokens": null', "work.greedy.tokens: Input should be a valid integer"),
        ("}\n", "", "Invalid JSON"),
    ],
)
def test_a_damaged_file_is_named_with_the_stage_that_writes_it(
    path: Path, before: str, after: str, said: str
) -> None:
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(DataError) as caught:
        load_cost(path)
    assert str(caught.value).startswith(f"{path}: not a cost: ")
    assert said in str(caught.value)
    assert str(caught.value).endswith("; run the stage evaluate@bleu-17 again")


def test_a_missing_file_is_named_with_the_stage_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"score@a\.json: No such file.*; run the stage score@a$"):
        load_cost(tmp_path / "score@a.json")
