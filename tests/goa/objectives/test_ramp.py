"""Numbers that change over a run."""

import pytest

from goa.objectives.ramp import RampSettings


def test_a_ramp_moves_in_a_straight_line_and_then_stays() -> None:
    ramp = RampSettings(start=1.0, end=0.2, rounds=4)
    assert [ramp.at(update) for update in (0, 1, 2, 4, 9)] == pytest.approx([1, 0.8, 0.6, 0.2, 0.2])
