"""Starting a stage as several processes of one team."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

POLL_SECONDS = 0.1


def is_member() -> bool:
    """Say whether this process was started as one of a team: by us, torchrun or accelerate."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """Give this process's place in its team; 0 if it has none."""
    return int(os.environ.get("RANK", "0"))


def team_size() -> int:
    """Count the processes of this process's team."""
    return int(os.environ["WORLD_SIZE"]) if is_member() else 1


def launch(argv: Sequence[str], num_processes: int) -> int:
    """Run one command line in several processes that know of each other; give the exit code.

    They stay in this process's group, so that what ends the group ends them. When one fails, the
    others are ended: they would wait for it for ever.
    """
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
    }
    team = [
        subprocess.Popen(
            argv, env=os.environ | shared | {"RANK": str(place), "LOCAL_RANK": str(place)}
        )
        for place in range(num_processes)
    ]
    try:
        while any(member.poll() is None for member in team):
            if any(member.poll() for member in team):
                break
            time.sleep(POLL_SECONDS)
    finally:
        for member in team:
            member.terminate()
        codes = [member.wait() for member in team]
    failed = [code for code in codes if code > 0] or [code for code in codes if code]
    return failed[0] if failed else 0


def launch_if_told(num_processes: int) -> None:
    """Start the team and leave with its exit code, unless this process is one of it already."""
    if num_processes > 1 and not is_member():
        argv = [sys.executable, "-m", _module(), *sys.argv[1:]]
        raise SystemExit(launch(argv, num_processes))


def _module() -> str:
    """Name the module that this process was started with."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None
    return spec.name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
