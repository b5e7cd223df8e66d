"""Starting a stage as several processes of one team."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from pipelines.stopping import Stopped, StopRequest

POLL_SECONDS = 0.1


def is_member() -> bool:
    """Say whether this process was started as one of a team: by us, torchrun or accelerate."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """Give this process's place in its team; 0 if it has none."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Give this process's place among those on this machine; 0 if it has none."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def team_size() -> int:
    """Count the processes of this process's team."""
    return int(os.environ["WORLD_SIZE"]) if is_member() else 1


def num_processes(command: str) -> int:
    """Read from a stage's command line how many processes it will be; 1 if it does not say."""
    found = re.search(r"--processes[ =](\d+)", command)
    return int(found.group(1)) if found else 1


def launch(argv: Sequence[str], size: int) -> int:
    """Run one command line in several processes that know of each other; give the exit code.

    They stay in this process's group, so that what ends the group ends them. When one fails, the
    others are ended: they would wait for it for ever.

    Raises:
        Stopped: this process was asked to stop, and so all have.
    """
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
    }
    team = [
        subprocess.Popen(
            argv, env=os.environ | shared | {"RANK": str(place), "LOCAL_RANK": str(place)}
        )
        for place in range(size)
    ]
    with StopRequest():
        try:
            return _end_of(team)
        except Stopped:
            for member in team:
                member.terminate()
            for member in team:
                member.wait()
            raise
        finally:
            for member in team:
                member.kill()
                member.wait()


def _end_of(team: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all have ended, or one has failed; give its exit code as shells have it."""
    while True:
        codes = [member.poll() for member in team]
        for place, code in enumerate(codes, 1):
            if code:
                if code == -signal.SIGKILL:
                    told = f"process {place} of {len(team)} was killed; was memory short?\n"
                    sys.stderr.write(told)
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(POLL_SECONDS)


def launch_if_told(size: int) -> None:
    """Start the team and leave with its exit code, unless this process is one of it already."""
    if size > 1 and not is_member():
        argv = [sys.executable, "-m", _module(), *sys.argv[1:]]
        try:
            code = launch(argv, size)
        except Stopped as stopped:
            code = stopped.exit_code
        raise SystemExit(code)


def leave(code: int = 0) -> None:
    """End this process at once, with all it said, if it is one of a team.

    Threads of gloo may still let go of the tensors that were sent last. For that they ask for
    Python's lock, and once Python is ending, asking for it aborts the process.
    """
    if is_member():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _module() -> str:
    """Name the module that this process was started with."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None
    return spec.name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
