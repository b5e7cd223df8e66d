"""What a run is sorted and searched by: the commit it was made at, its stage, its inputs."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goa.arms import BASELINE, parse_policy
from goa.errors import SettingsError


def git_tags(root: Path) -> dict[str, str]:
    """Tag the commit, and whether code or parameters differ from it; nothing outside git."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return {}
    # What a run itself writes is no change of code.
    changed = _git(root, "status", "--porcelain", "--", ".", ":!dvc.lock", ":!metrics")
    return {"git.sha": commit, "git.dirty": str(bool(changed)).lower()}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def lineage_tags(stage: str, entry: Mapping[str, Any], params: Mapping[str, str]) -> dict[str, str]:
    """Tag what runs are sorted and searched by: the stage, and what was trained on what.

    Args:
        stage: its name in dvc.yaml.
        entry: the stage's in dvc.lock.
        params: resolved, by dotted name.
    """
    group, _, key = stage.partition("@")
    named = {
        "goa.objective": params.get(f"{group}.objective.kind", ""),
        "goa.seed": params.get("seed", ""),
        **_arm(group, key),
    }
    return {
        "dvc.stage": stage,
        "dvc.cmd": str(entry["cmd"]),
        **{name: value for name, value in named.items() if value},
        **{
            f"dvc.{kind}.{item['path']}": item["md5"]
            for kind in ("dep", "out")
            for item in entry.get(f"{kind}s", [])
            if "md5" in item
        },
    }


def _arm(group: str, key: str) -> dict[str, str]:
    """Say what a stage's group and key mean: ``finetune@bleu-17``, ``score@bleu``."""
    if not key:
        return {"goa.arm": BASELINE if group in ("pretrain", "evaluate_mle") else ""}
    try:
        policy = parse_policy(key)
    except SettingsError:
        return {"goa.arm": key, "goa.evaluator": key}
    return {
        "goa.arm": policy.arm.name,
        "goa.control": policy.arm.control or "",
        "goa.evaluator": policy.arm.evaluator,
        "goa.policy": policy.name,
        "goa.seed": str(policy.seed),
    }
