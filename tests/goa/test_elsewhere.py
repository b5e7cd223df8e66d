"""What runs on a CPU runs on another device, too: a stand-in for a GPU where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("room", ["decoding", "evaluators"])
def test_models_do_on_another_device_as_on_a_cpu(room: str) -> None:
    # In a process of its own, since torch keeps a device for good once it knows it.
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--tb", "short"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"tests/goa/{room}/elsewhere.py"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
