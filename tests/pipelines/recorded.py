"""A project whose results can be recorded, for tests of publishing."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml

from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.tracking.spool import Spool
from goa.tracking.store import connect
from pipelines.publish import project_store

DVC_YAML = """
stages:
  prepare:
    cmd: make data
    outs: [out/data]
    metrics: [metrics/prepare.json]
  pretrain:
    cmd: train
    deps: [out/data]
    params: [seed, pretrain]
    outs: [out/policies/mle]
    metrics: [metrics/pretrain.json]
    plots: [out/history/mle.csv]
  compare:
    cmd: compare
    deps: [out/policies/mle]
    outs: [out/comparison]
    metrics: [metrics/compare.json]
"""
HISTORY = "update,loss,validation_loss\n0,5.0,4.0\n10,3.25,\n20,2.5,3.5\n"
FILES = {
    "out/data/train/data.arrow": "rows",
    "metrics/prepare.json": '{"pairs": {"train": 3}, "source": "demo"}',
    "out/history/mle.csv": HISTORY,
    "metrics/pretrain.json": '{"validation_loss": 3.5, "updates": 20, "note": null}',
    "out/comparison/report.md": "# mle wins",
    "metrics/compare.json": '{"mle": {"bleu": 0.31}}',
}


class Project:
    """A project whose stages have run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_lock(self) -> None:
        """Write dvc.lock for what is on disk."""
        stages = yaml.safe_load(DVC_YAML)["stages"]
        params = {"pretrain": {"seed": 17, "pretrain": {"epochs": 2, "objective": {"kind": "mle"}}}}
        entries = {}
        for name, stage in stages.items():
            outs = [*stage["outs"], *stage["metrics"], *stage.get("plots", [])]
            entries[name] = {
                "cmd": stage["cmd"],
                "deps": [self._item(path) for path in stage.get("deps", [])],
                "params": {"params.yaml": params.get(name, {})},
                "outs": [self._item(path) for path in outs],
            }
        content = {"schema": "2.0", "stages": entries}
        (self.root / "dvc.lock").write_text(yaml.safe_dump(content))

    def runs(self) -> dict[str, Any]:
        """Look at all runs by name; no name may occur twice."""
        connection = connect(project_store(self.root))
        found = connection.client.search_runs([connection.experiment_id])
        assert len({run.info.run_name for run in found}) == len(found)
        return {run.info.run_name: run for run in found}

    def points(self, stage: str, metric: str) -> list[tuple[int, float]]:
        """Read all points of a metric."""
        client = connect(project_store(self.root)).client
        found = client.get_metric_history(self.runs()[stage].info.run_id, metric)
        return [(point.step, point.value) for point in found]

    def spool(self) -> Spool:
        """Open the spool of the pretraining."""
        return Spool(self.root / ".goa" / "spool" / "pretrain" / "abc123.jsonl")

    def _item(self, name: str) -> dict[str, Any]:
        path = self.root / name
        if path.is_file():
            content = path.read_bytes()
            return {"path": name, "md5": hashlib.md5(content).hexdigest(), "size": len(content)}
        sizes = [child.stat().st_size for child in path.rglob("*") if child.is_file()]
        digest = hashlib.md5(name.encode()).hexdigest() + ".dir"
        return {"path": name, "md5": digest, "size": sum(sizes), "nfiles": len(sizes)}


def make_project(root: Path, policy: Policy, database: Path) -> Project:
    """Make a project that is up to date and has never been published."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    save_policy(policy, root / "out" / "policies" / "mle")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text("seed: 17\npretrain: {epochs: 2}\n")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
    shutil.copy(database, root / "mlflow.db")
    project = Project(root)
    project.write_lock()
    return project
