"""Tests that need a process of their own: Prefect's and MLflow's tables cannot share one."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 480.0


def run_apart(checks: str, count: int, environment: Mapping[str, str] | None = None) -> None:
    """Run a file of checks, named from the top of the repository; insist on how many there are."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, checks],
        cwd=ROOT,
        env=None if environment is None else dict(environment),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.findall(r"(\d+) (?:passed|skipped)", done.stdout.splitlines()[-1])
    assert sum(map(int, counted)) == count
