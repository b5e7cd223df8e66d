"""The stage graph as DVC resolves it: the one file that touches DVC's internals.

DVC is imported inside the functions: it takes a third of a second, and a command that does not
come to need it should not pay for it.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from goa.errors import PipelineError, hide_secrets
from goa.settings import read_yaml
from pipelines.stage_graph import StageDefinition, StageGraph

PROJECT_FILE, LOCK_FILE = "dvc.yaml", "dvc.lock"
_ONE_AT_A_TIME = threading.RLock()
"""Threads of a run ask DVC; what it checks dvc.yaml with is of the whole process, and changes."""
LOCK_ADVICE = (
    "\ndvc.lock cannot be used: DVC was killed, or the disk was full, while it was written. Take "
    "it from git, or remove it: what DVC's cache has is not run again"
)


def read_graph(root: Path) -> StageGraph:
    """Read the graph that ``dvc repro`` would run at ``root``; waits for DVC's lock.

    That is dvc.yaml there and what its stages need, such as a ``raw.csv.dvc``.

    Raises:
        PipelineError: no DVC project there, or dvc.yaml cannot be resolved.
    """
    with _open_repo(root) as repo, _locked(repo):
        import networkx as nx  # noqa: PLC0415

        whole = repo.index.graph  # an edge leads from a stage to what it needs
        own = [stage for stage in whole if stage.path_in_repo == PROJECT_FILE]
        found = whole.subgraph(set(own).union(*(nx.descendants(whole, stage) for stage in own)))
        position = {stage: index for index, stage in enumerate(repo.index.stages)}
        order = nx.lexicographical_topological_sort(found.reverse(), key=position.__getitem__)
        stages = {_address(stage): _define(stage) for stage in order}
        parents = {
            _address(stage): frozenset(_address(parent) for parent in found.successors(stage))
            for stage in found
        }
    return StageGraph(stages=stages, parents=parents)


def stage_definition(name: str, root: Path = Path()) -> StageDefinition:
    """Resolve one stage by dvc.yaml alone, without DVC's lock or waiting for it.

    dvc.lock is not read: DVC may be writing it for another stage at this moment.

    Raises:
        PipelineError: no DVC project there, or no such stage in its dvc.yaml.
    """
    with _open_stages(root) as stages:
        return _define(stages[name])


def stage_definitions(root: Path = Path()) -> dict[str, StageDefinition]:
    """Resolve every stage in the same way, by name, in the order of dvc.yaml.

    Raises:
        PipelineError: no DVC project there, or dvc.yaml cannot be resolved.
    """
    with _open_stages(root) as stages:
        return {name: _define(stages[name]) for name in stages}


def stale_stages(root: Path) -> dict[str, tuple[str, ...]]:
    """Ask DVC which stages are stale by themselves, and why; waits for DVC's lock.

    Stages that depend on a stale one are not listed unless they changed too.

    Raises:
        PipelineError: no DVC project there, or another DVC process works on these files.
    """
    with _open_repo(root) as repo, _locked(repo):
        names = {stage.addressing: _address(stage) for stage in repo.index.stages}
        targets = [str(Path(repo.root_dir, PROJECT_FILE))]
        status = repo.status(targets=targets, with_deps=True, check_updates=False)
        known = _lock_entries(root)
    return {
        name: tuple(_reasons(status[key])) if name in known else ("never run",)
        for key, name in names.items()
        if key in status
    }


def lock_entries(root: Path) -> dict[str, Any]:
    """Read what dvc.lock says of each stage, empty before the first run; waits for DVC's lock.

    Raises:
        PipelineError: no DVC project there.
        SettingsError: dvc.lock is not YAML.
    """
    with _open_repo(root) as repo, _locked(repo):
        return _lock_entries(root)


def cache_folder(root: Path) -> Path:
    """Say where DVC keeps what it knows by digest: ``ab/cdef...`` for each.

    Raises:
        PipelineError: no DVC project there.
    """
    with _open_repo(root) as repo:
        return Path(repo.cache.local.path)


def _lock_entries(root: Path) -> dict[str, Any]:
    path = root / LOCK_FILE
    stages = read_yaml(path).get("stages", {}) if path.exists() else {}
    if not isinstance(stages, dict):
        raise PipelineError(
            f"{path}: stages are no mapping; restore it, or delete it and run again"
        )
    return stages


@contextlib.contextmanager
def _open_repo(root: Path) -> Iterator[Any]:
    """Open DVC's view of a project, without its progress bars, and turn its errors into ours."""
    from dvc.exceptions import DvcException  # noqa: PLC0415
    from dvc.repo import Repo  # noqa: PLC0415

    # Their bars ask this logger whether they are wanted; on a terminal they would tear our table.
    logging.getLogger("dvc.progress").setLevel(logging.CRITICAL)

    if not (root / PROJECT_FILE).is_file():
        raise PipelineError(f"{root.resolve()}: no dvc.yaml here; run from the project's folder")
    if not (root / ".dvc").is_dir():
        raise PipelineError(f"{root.resolve()}: not a DVC project yet; run `goa init` here")
    try:
        with _ONE_AT_A_TIME, Repo(str(root), _wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        advice = LOCK_ADVICE if LOCK_FILE in str(error) else ""
        raise PipelineError(f"dvc: {hide_secrets(str(error))}{advice}") from error


@contextlib.contextmanager
def _open_stages(root: Path) -> Iterator[Mapping[str, Any]]:
    """Open the stages of dvc.yaml as DVC resolves them, each when it is asked for."""
    with _open_repo(root) as repo:
        from dvc.dvcfile import load_file  # noqa: PLC0415
        from dvc.stage.loader import StageLoader  # noqa: PLC0415

        file = load_file(repo, str(Path(repo.root_dir, PROJECT_FILE)))
        yield StageLoader(file, file.contents)


def _locked(repo: Any) -> contextlib.AbstractContextManager[None]:
    """Keep other DVC processes from writing dvc.lock, which they do in place, not at a stroke."""
    from dvc.repo import lock_repo  # noqa: PLC0415

    lock: contextlib.AbstractContextManager[None] = lock_repo(repo)
    return lock


def _address(stage: Any) -> str:
    # stage.addressing depends on the folder the process stands in; this does not.
    if stage.path_in_repo == PROJECT_FILE:
        return str(stage.name)
    inner = getattr(stage, "name", None)
    return f"{stage.path_in_repo}:{inner}" if inner else str(stage.path_in_repo)


def _define(stage: Any) -> StageDefinition:
    root = Path(stage.repo.root_dir)
    plain = [dep for dep in stage.deps if dep not in stage.params]
    cmd = stage.cmd or ""
    return StageDefinition(
        name=_address(stage),
        cmd=cmd if isinstance(cmd, str) else "\n".join(cmd),
        dependencies=tuple(_relative(dep, root) for dep in plain),
        params={str(_relative(dep, root)): dep.read_params() for dep in stage.params},
        outputs=tuple(_relative(out, root) for out in stage.outs),
    )


def _relative(item: Any, root: Path) -> Path:
    path = Path(item.fs_path)
    return path.relative_to(root) if path.is_relative_to(root) else path


def _reasons(changes: Iterable[Any]) -> Iterator[str]:
    """Flatten DVC's report: ``{"changed deps": {"params.yaml": {"seed": "modified"}}}``, say."""
    for change in changes:
        if isinstance(change, str):
            yield change
            continue
        for items in change.values():
            for path, what in items.items():
                if isinstance(what, str):
                    yield f"{path} {what}"
                else:
                    yield from (f"{path}: {key} {how}" for key, how in what.items())
