"""Training curves from CSV."""

from pathlib import Path

import pytest

from goa.errors import DataError
from goa.report.history import Curve, read_history


def write(folder: Path, text: str) -> Path:
    path = folder / "bleu.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_empty_cells_are_left_out_of_the_curve(tmp_path: Path) -> None:
    path = write(tmp_path, "update,reward,validation_reward,kl\n0,,0.3,\n1,0.25,,\n2,0.5,0.4,\n")
    history = read_history(path)

    assert history.policy == "bleu"
    assert history.curves == {
        "reward": Curve(updates=(1, 2), values=(0.25, 0.5)),
        "validation_reward": Curve(updates=(0, 2), values=(0.3, 0.4)),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"bleu.csv:1: expected the first column to be 'update', found 'nothing'"),
        ("step,reward\n1,2\n", r"bleu.csv:1: .*found 'step'"),
        ("update,reward\n1,0.5\n2,high\n", r"bleu.csv:3: not a number: .*'high'"),
        ("update,reward\n1.5,0.5\n", r"bleu.csv:2: not a number: .*'1.5'"),
        ("update,reward\n1\n", r"bleu.csv:2: expected 2 cells"),
        ("update,reward\n1,2,3\n", r"bleu.csv:2: expected 2 cells"),
    ],
)
def test_a_damaged_history_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_history(write(tmp_path, text))


def test_a_missing_history_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rule.csv: No such file or directory; train 'rule' first"):
        read_history(tmp_path / "rule.csv")


def test_a_history_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bleu.csv"
    path.write_bytes(b"update,reward\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"bleu.csv: not a CSV table"):
        read_history(path)
