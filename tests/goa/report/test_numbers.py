"""Numbers as people read them."""

import pytest

from goa.report.comparison import Measure
from goa.report.numbers import (
    label,
    say_delta,
    say_p_value,
    say_score,
)


def test_scores_are_points() -> None:
    assert say_score(0.39462) == "39.46"


@pytest.mark.parametrize(
    ("delta", "text"),
    [(0.0106, "+1.06"), (-0.003, "−0.30"), (0.00001, "0.00"), (-0.00001, "0.00"), (None, "–")],
)
def test_changes_carry_their_sign(delta: float | None, text: str) -> None:
    assert say_delta(delta) == text


@pytest.mark.parametrize(
    ("p_value", "text"), [(0.0209, "p = 0.021"), (0.0001, "p < 0.001"), (None, "p –")]
)
def test_p_values_have_three_digits(p_value: float | None, text: str) -> None:
    assert say_p_value(p_value) == text


def test_ter_is_called_what_its_number_is() -> None:
    measure = Measure(name="edits", kind="ter", signature="", higher_is_better=True)
    assert label(measure) == "edits (1 − TER)"
