"""What runs on a CPU runs on another device, too: a stand-in for a GPU where there is none."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def test_policies_write_and_score_on_another_device_as_on_a_cpu() -> None:
    # In a process of its own, since torch keeps a device for good once it knows it.
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--tb", "short"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/goa/decoding/elsewhere.py"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
