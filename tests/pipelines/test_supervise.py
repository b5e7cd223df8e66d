"""What the supervisor leaves alive: nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

from pipelines import supervise
from tests.pipelines.conftest import alive

STUBBORN = "trap '' TERM; while :; do sleep 0.05; done"


def start(*argv: str, grace: float = 0.3) -> "subprocess.Popen[str]":
    command = supervise.command(argv, grace)
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        # Coverage starts from site-packages, which -S leaves out, and knows modules by name.
        command[1:4] = ["-m", "pipelines.supervise"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_the_exit_code_of_the_command_is_passed_on() -> None:
    with start("sh", "-c", "exit 7") as process:
        assert process.wait(timeout=10) == 7


def test_death_by_signal_is_reported_as_shells_do() -> None:
    with start("sh", "-c", "kill -9 $$") as process:
        assert process.wait(timeout=10) == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist_is_named() -> None:
    with start("no-such-command") as process:
        assert process.wait(timeout=10) == 127
        assert process.stderr is not None
        assert "cannot start no-such-command" in process.stderr.read()


def test_what_the_command_leaves_behind_is_ended() -> None:
    with start("sh", "-c", "sleep 600 & echo $!") as process:
        assert process.stdout is not None
        left = int(process.stdout.readline())
        assert process.wait(timeout=10) == 0
        assert eventually(lambda: not alive(left))


def test_end_of_standard_input_ends_the_group() -> None:
    with start("sh", "-c", "sleep 600 & echo $!; wait") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        inner = int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
        assert eventually(lambda: not alive(inner))


def test_a_group_that_ignores_the_request_is_killed_after_the_grace() -> None:
    with start("sh", "-c", f"echo $$; {STUBBORN}") as process:
        assert process.stdout is not None
        stubborn = int(process.stdout.readline())
        process.terminate()
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
        assert not alive(stubborn)


def test_an_interrupt_ends_the_group() -> None:
    with start("sh", "-c", "echo $$; sleep 600") as process:
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 128 + signal.SIGINT
        assert not alive(inner)


def test_killing_the_parent_leaves_nothing_behind() -> None:
    parent = textwrap.dedent(f"""
        import subprocess, sys, time
        from pipelines import supervise
        argv = ["sh", "-c", "echo $$; {STUBBORN}"]
        subprocess.Popen(supervise.command(argv, 0.3), stdin=subprocess.PIPE)
        time.sleep(600)
    """)
    argv = [sys.executable, "-c", parent]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        assert alive(inner)
        os.kill(process.pid, signal.SIGKILL)
        assert eventually(lambda: not alive(inner))
