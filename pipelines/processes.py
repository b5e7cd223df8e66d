"""Python programs that a run starts: none outlives it, and each leaves a log."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from goa.errors import hide_secrets
from pipelines import supervise

TAIL_LINES = 20


async def run_python(
    arguments: Sequence[str],
    log: Path,
    *,
    root: Path,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> int:
    """Run this interpreter under a supervisor and give the exit code.

    Cancelling ends the whole process group before this returns.

    Args:
        arguments: of the interpreter.
        log: the file that all output is added to.
        root: the folder to run in.
        environment: what to add to this process's.
        descriptors: open files that the supervisor keeps open to its end, for the locks on them.
    """
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *supervise.command([sys.executable, *arguments]),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=root,
            env=stage_environment() | dict(environment or {}),
            pass_fds=descriptors,
        )
    try:
        return await process.wait()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        # However often we are cancelled: leave only when the supervisor has cleared the group.
        while process.returncode is None:
            with contextlib.suppress(asyncio.CancelledError):
                await process.wait()


def stage_environment() -> dict[str, str]:
    """Give the environment of stages: ``python`` in dvc.yaml is the interpreter running now."""
    # Not resolved: inside a virtual environment the link itself is what makes it one.
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])}


def last_lines(log: Path) -> str:
    """Give the end of a log, indented, without what is secret in addresses."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(f"  {hide_secrets(line)}" for line in lines)
