"""``goa doctor``: what may go wrong with a project on this machine, before it does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from goa.errors import GoaError
from goa.settings import read_yaml
from pipelines.devices import visible_gpus
from pipelines.findings import Finding, fail, ok, warn
from pipelines.leftovers import find_locks, find_orphans
from pipelines.servers import ask_mlflow, ask_prefect
from pipelines.versions import check_versions

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
GIB = 2**30
LOW_DISK, FULL_DISK = 5 * GIB, 1 * GIB
"""Free bytes below which there is a warning, and below which no stage should be started."""
TORCH_SECONDS = 120.0
COUNT_GPUS = "import torch; print(torch.cuda.device_count(), torch.version.cuda)"


def examine(root: Path) -> list[Finding]:
    """Look at everything; a look that goes wrong itself is a finding too."""
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "project": lambda: _project(root),
        "versions": check_versions,
        "mlflow store": lambda: ask_mlflow(root),
        "prefect server": ask_prefect,
        "gpus": lambda: _gpus(root),
        "locks": lambda: find_locks(root),
        "orphans": lambda: find_orphans(root),
        "disk": lambda: _disk(root),
    }
    found: list[Finding] = []
    for name, look in looks.items():
        try:
            found += look()
        except (GoaError, OSError) as error:
            found.append(fail(name, str(error)))
    return found


def healthy(findings: Sequence[Finding]) -> bool:
    """Say whether nothing failed; warnings do not count."""
    return all(finding.state != "fail" for finding in findings)


def findings_table(findings: Sequence[Finding]) -> Table:
    """Lay out the findings, one a row."""
    table = Table(box=SIMPLE_HEAD, header_style="bold")
    table.add_column("looked at", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for finding in findings:
        state = Text(finding.state, style=STYLES[finding.state])
        table.add_row(Text(finding.name), state, Text(finding.detail))
    return table


def as_text(findings: Sequence[Finding]) -> str:
    """Write the findings as JSON."""
    content = {"healthy": healthy(findings), "findings": [asdict(each) for each in findings]}
    return json.dumps(content, indent=2)


def _project(root: Path) -> Iterator[Finding]:
    if not (root / "dvc.yaml").is_file():
        yield fail("project", f"no dvc.yaml in {root.resolve()}; run from the project's folder")
    elif not (root / ".dvc").is_dir():
        yield warn("project", "not a DVC project yet; `goa init` or `goa run` makes it one")
    else:
        yield ok("project", str(root.resolve()))


def _gpus(root: Path) -> Iterator[Finding]:
    path = root / "params.yaml"
    compute = read_yaml(path).get("compute", {}) if path.exists() else {}
    wanted = compute.get("device") == "cuda" if isinstance(compute, dict) else False
    driver = len(visible_gpus())
    if not driver and not wanted:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") is not None
        yield ok("gpus", f"none{', by CUDA_VISIBLE_DEVICES' if hidden else ''}; stages use the CPU")
        return
    torch, built_for = _torch_gpus()
    detail = f"driver: {driver}, torch: {torch}, torch is built for CUDA {built_for}"
    if torch < driver or not torch:
        advice = "install the torch build for CUDA, or a driver that it works with"
        yield fail("gpus", f"{detail}; {advice if driver else 'compute.device is cuda'}")
    else:
        yield ok("gpus", detail)


def _torch_gpus() -> tuple[int, str]:
    """Ask torch in a process of its own: here it would open every GPU and keep it."""
    argv = [sys.executable, "-c", COUNT_GPUS]
    try:
        said = subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=TORCH_SECONDS
        )
        count, built_for = said.stdout.split()
    except (subprocess.SubprocessError, ValueError):
        return 0, "nothing: it cannot be imported"
    return int(count), built_for


def _disk(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free
    state = fail if free < FULL_DISK else warn if free < LOW_DISK else ok
    yield state("disk", f"{free / GIB:.1f} GiB free in {root.resolve()}")
