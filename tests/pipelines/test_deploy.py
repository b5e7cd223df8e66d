"""What is deployed, and where to; that it then runs, test_schedule.py tries."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_without_a_server_nothing_is_deployed(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    # An embedded server would be started here, and no schedule would ever fire.
    own = {"PREFECT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "deploy"],
        cwd=tmp_path,
        env=environment | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: PREFECT_API_URL names no Prefect server")
    assert not list((tmp_path / "home").glob("*.db"))


def test_every_schedule_has_a_name_and_says_whether_it_is_on() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    schedules = [each for found in deployments for each in found.get("schedules", [])]
    assert schedules
    # Without a name Prefect doubles or switches on what was paused, when it is deployed again.
    assert all({"slug", "active"} <= each.keys() for each in schedules)
