"""What a policy made from scratch cannot be."""

import pytest

from goa.errors import SettingsError
from goa.policies.settings import ScratchPolicySettings
from goa.settings import validate


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    content = {"kind": "scratch", "d_model": 20, "num_heads": 8}
    with pytest.raises(SettingsError, match=r"d_model \(20\) is not a multiple of num_heads \(8\)"):
        validate(ScratchPolicySettings, content, "here")
    assert validate(ScratchPolicySettings, content | {"num_heads": 5}, "here").num_heads == 5
