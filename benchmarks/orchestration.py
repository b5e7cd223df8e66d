"""What orchestration costs: plain `dvc repro`, `goa run`, and the Prefect flow, on the same graph.

    python benchmarks/orchestration.py [--stages 12] [--repeats 5]

A project of so many stages that do nothing, each after the first needing only the first, is run
from nothing and again when it is up to date. The ways take turns; medians. The flow runs in a
process of its own, as a worker starts it, against a server that this script starts on loopback.
Stages go one at a time everywhere, so that all do the same.
"""

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
FLOW = "import asyncio; from pipelines.flows import reproduce; asyncio.run(reproduce([], 1))"
RUN = (
    "import asyncio; from pathlib import Path; from pipelines.runner import run_graph; "
    "asyncio.run(run_graph([], 1, lambda *_: None))"
)
WAYS = {
    "dvc repro": [PYTHON, "-m", "dvc", "repro", "--quiet"],
    "goa run": [PYTHON, "-c", RUN],
    "Prefect flow": [PYTHON, "-c", FLOW],
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, _server(Path(temporary)) as environment:
        project = _project(Path(temporary, "project"), given.stages, environment)
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.repeats):
            for way, argv in WAYS.items():
                _forget(project)
                for condition in ("from nothing", "up to date"):
                    start = time.perf_counter()
                    subprocess.run(
                        argv, cwd=project, env=environment, check=True, capture_output=True
                    )
                    spent = time.perf_counter() - start
                    seconds.setdefault((way, condition), []).append(spent)
        _show({key: statistics.median(found) for key, found in seconds.items()}, given.stages)


def _run(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(argv, cwd=folder, env=environment, check=True, capture_output=True)


def _show(medians: Mapping[tuple[str, str], float], stages: int) -> None:
    print(f"{stages} stages that do nothing, one at a time; medians\n")
    print("| run by | from nothing, s | more a stage, s | up to date, s |")
    print("| --- | ---: | ---: | ---: |")
    plain = medians["dvc repro", "from nothing"]
    for way in WAYS:
        spent = medians[way, "from nothing"]
        fresh = medians[way, "up to date"]
        print(f"| {way} | {spent:.1f} | {(spent - plain) / stages:.2f} | {fresh:.1f} |")


def _project(root: Path, stages: int, environment: Mapping[str, str]) -> Path:
    root.mkdir()
    lines = ["stages:"]
    for stage in range(stages):
        need = "seed.txt" if stage == 0 else "0.txt"
        lines += [
            f"  s{stage}:",
            f"    cmd: cp {need} {stage}.txt",
            f"    deps: [{need}]",
            f"    outs: [{stage}.txt]",
        ]
    (root / "dvc.yaml").write_text("\n".join(lines))
    (root / "seed.txt").write_text("0")
    argv = [PYTHON, "-m", "dvc", "init", "--quiet", "--no-scm"]
    _run(argv, root, environment)
    return root


def _forget(project: Path) -> None:
    """Leave nothing of an earlier run, DVC's cache included."""
    (project / "dvc.lock").unlink(missing_ok=True)
    for path in [*project.glob("[0-9]*.txt")]:
        path.unlink()
    for folder in (".dvc/cache", ".dvc/tmp", ".goa"):
        shutil.rmtree(project / folder, ignore_errors=True)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Prefect server; gives the environment of its clients."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DVC_NO_ANALYTICS": "1",
    }
    argv = [PYTHON, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        _await(f"http://127.0.0.1:{port}/api/health")
        yield environment
    finally:
        server.terminate()
        server.wait()


def _await(address: str) -> None:
    for _ in range(240):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.5)
    sys.exit(f"{address}: no answer")


if __name__ == "__main__":
    main()
