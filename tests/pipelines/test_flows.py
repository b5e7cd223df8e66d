"""The Prefect flow, tried in a process of its own.

Prefect's and MLflow's tables cannot be mapped by SQLAlchemy in one process, so what stands in
flows_on_a_server.py must not share one with the tests of publishing.
"""

import subprocess
import sys
from pathlib import Path


def test_a_flow_runs_stages_on_a_real_prefect_server() -> None:
    checks = Path(__file__).with_name("flows_on_a_server.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", checks],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
