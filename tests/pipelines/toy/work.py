"""A toy stage: writes its parameter, and misbehaves as the file control/<stage> says.

fail: ends with exit code 3. die: is killed. wait: ends when the file is gone.
hang: never ends, with a child.
abandon: its DVC is killed when the work is done and marked as done by the words that follow.
bulky: its output has so many MiB more as the word that follows says, and no holes.
Where the environment names a folder TOY, control and traces are there, for clones that come and go.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

HERE = Path(os.environ.get("TOY", "."))


def main() -> None:
    """Write ``key``'s value to ``output``."""
    stage, output, key = sys.argv[1:4]
    note(stage, "start")
    with (HERE / "gpus").open("a") as file:
        file.write(f"{stage} {os.environ.get('CUDA_VISIBLE_DEVICES', 'none')}\n")
    control = HERE / "control" / stage
    command, *words = control.read_text().split() if control.exists() else [""]
    if command == "fail":
        sys.exit("toy: told to fail")
    if command == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if command == "hang":
        child = subprocess.Popen(["sleep", "600"])
        (HERE / f"{stage}.pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    while command == "wait" and control.exists():
        time.sleep(0.02)
    value = yaml.safe_load(Path("params.yaml").read_text())
    for part in key.split("."):
        value = value[part]
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with Path(output).open("wb") as file:
        file.write(f"{value}\n".encode())
        for _ in range(int(words[0]) if command == "bulky" else 0):
            file.write(os.urandom(1 << 20))
    note(stage, "end")
    if command == "abandon":
        control.unlink()
        marker = Path(".goa", "done", stage)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(words[0])
        os.kill(find_dvc(), signal.SIGKILL)


def note(stage: str, event: str) -> None:
    """Append to the trace of what happened, in one write."""
    with (HERE / "events").open("a") as file:
        file.write(f"{stage} {event}\n")


def find_dvc() -> int:
    """Find the DVC process that runs this; a shell may stand between."""
    process = os.getppid()
    while "dvc" not in _ps(process, "args"):
        process = int(_ps(process, "ppid"))
    return process


def _ps(process: int, field: str) -> str:
    argv = ["ps", "-o", f"{field}=", "-p", str(process)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
