"""What decoding refuses to be told."""

import pytest

from goa.decoding.settings import BeamSettings
from goa.errors import SettingsError
from goa.settings import validate


def test_a_beam_does_not_give_more_candidates_than_it_follows() -> None:
    content = {"kind": "beam", "num_beams": 2, "num_candidates": 3}
    with pytest.raises(SettingsError, match=r"num_candidates \(3\) exceeds num_beams \(2\)"):
        validate(BeamSettings, content, "here")
    assert validate(BeamSettings, content | {"num_beams": 3}, "here").candidates == 3
