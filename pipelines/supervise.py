"""Run a command so that nothing of it outlives the process that asked for it.

``python -m pipelines.supervise [--grace SECONDS] -- COMMAND...`` runs the command in a session of
its own. The whole process group is asked to end (TERM) and, after the grace, made to (KILL), as
soon as the command itself ends, a TERM, INT or HUP arrives, or standard input reaches its end.
The last is how the death of the parent shows, even by SIGKILL: the parent holds the other end of
the pipe and the kernel closes it. So standard input must be a pipe that only the parent holds.

Standard library only: the runner starts this file as an isolated script, in 20 ms.
"""

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

GRACE_SECONDS = 10.0
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def command(argv: Sequence[str], grace: float = GRACE_SECONDS) -> list[str]:
    """Give the command line that runs ``argv`` under a supervisor, from any folder."""
    return [sys.executable, "-I", "-S", __file__, f"--grace={grace}", "--", *argv]


def supervise(argv: Sequence[str], grace: float) -> int:
    """Run a command until it ends or must end, then clear its group; give a shell's exit code."""
    wake = _wake_on(*_ENDING, signal.SIGCHLD)
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
        return 127
    ending = None
    while child.poll() is None and ending is None:
        ending = _next_ending(wake)
    _end_group(child, grace)
    if ending is not None:
        return 128 + ending
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wake_on(*numbers: int) -> int:
    """Give a file descriptor that receives a byte, the number, for each of these signals."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return reader


def _next_ending(wake: int) -> int | None:
    """Wait for news; give the signal that ends the command, if that is what came."""
    ready, _, _ = select.select([wake, sys.stdin.fileno()], [], [])
    if wake in ready:
        return next((number for number in os.read(wake, 64) if number in _ENDING), None)
    return None if os.read(sys.stdin.fileno(), 64) else signal.SIGTERM


def _end_group(child: subprocess.Popen[bytes], grace: float) -> None:
    deadline = time.monotonic() + grace
    with contextlib.suppress(ProcessLookupError):  # the group is empty
        os.killpg(child.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main() -> None:
    """Read the command line and supervise."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.supervise")
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS, help="seconds before KILL")
    parser.add_argument("argv", nargs="+", metavar="COMMAND")
    given = parser.parse_args()
    sys.exit(supervise(given.argv, given.grace))


if __name__ == "__main__":
    main()
