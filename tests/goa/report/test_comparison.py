"""A comparison on disk."""

from pathlib import Path

import pytest

from goa.errors import DataError
from goa.report.comparison import Comparison, load_comparison, save_comparison


def test_a_comparison_comes_back_as_it_was(tmp_path: Path, comparison: Comparison) -> None:
    save_comparison(tmp_path / "comparison.json", comparison)
    assert load_comparison(tmp_path / "comparison.json") == comparison


def test_a_missing_comparison_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"comparison.json: No such file .*run the stage compare"):
        load_comparison(tmp_path / "comparison.json")


def test_a_damaged_comparison_is_named(tmp_path: Path, comparison: Comparison) -> None:
    path = tmp_path / "comparison.json"
    save_comparison(path, comparison)
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")

    with pytest.raises(DataError, match=r"comparison.json: not a comparison"):
        load_comparison(path)
