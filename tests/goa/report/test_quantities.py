"""Durations, memory and energy as people read them."""

import pytest

from goa.report.quantities import say_bytes, say_duration, say_energy, say_short_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (1025, "17 min 5 s"),
        (3599.6, "1 h"),
        (3700, "1 h 2 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert say_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0004, "0.400 ms"), (0.031, "31.0 ms"), (0.412, "412 ms"), (1.25, "1.25 s")],
)
def test_a_sentence_s_time_has_three_digits(seconds: float | None, text: str) -> None:
    assert say_short_time(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (512, "512 B"), (1536, "1.5 KiB"), (13 * 2**30, "13.0 GiB")]
)
def test_memory_is_in_powers_of_1024(count: int | None, text: str) -> None:
    assert say_bytes(count) == text


@pytest.mark.parametrize(
    ("joules", "text"),
    [(None, "–"), (1512, "0.42 Wh"), (133_200, "37 Wh"), (4_464_000, "1.24 kWh")],
)
def test_energy_is_in_watt_hours(joules: float | None, text: str) -> None:
    assert say_energy(joules) == text
