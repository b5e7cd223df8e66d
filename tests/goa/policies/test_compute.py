"""The device that is asked for is the device that is used."""

import pytest
import torch

from goa.errors import PolicyError
from goa.policies.compute import use_device
from goa.policies.settings import ComputeSettings


def test_threads_are_set() -> None:
    use_device(ComputeSettings(device="cpu"), threads=2)
    assert torch.get_num_threads() == 2


def test_a_gpu_that_is_demanded_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PolicyError, match=r"compute\.device is cuda, but torch sees no GPU"):
        use_device(ComputeSettings(device="cuda"), threads=1)
    assert use_device(ComputeSettings(device="auto"), threads=1).type == "cpu"
