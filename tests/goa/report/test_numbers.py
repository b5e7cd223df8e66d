"""Numbers as people read them."""

import pytest

from goa.report.comparison import Measure
from goa.report.numbers import (
    label,
    say_bytes,
    say_delta,
    say_duration,
    say_joules,
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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (725, "12 min 5 s"),
        (3599.6, "1 h 0 min"),
        (7229, "2 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_times_are_said_in_two_units_at_most(seconds: float, text: str) -> None:
    assert say_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (512_000_000, "512 MB"), (999_600_000, "1.00 GB"), (81_559_000_000, "81.56 GB")],
)
def test_memory_is_said_in_decimal_units(size: int | None, text: str) -> None:
    assert say_bytes(size) == text


@pytest.mark.parametrize(
    ("joules", "text"),
    [(None, "–"), (0.0, "0 J"), (999.6, "1.0 kJ"), (43_210, "43.2 kJ"), (999_960, "1.0 MJ")],
)
def test_energy_is_said_in_joules(joules: float | None, text: str) -> None:
    assert say_joules(joules) == text
