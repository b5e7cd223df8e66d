"""Files that evaluators are made of, and stages of dvc.yaml that do not watch them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from goa.errors import PipelineError
from goa.evaluators.python import PythonSettings, find_source
from pipelines.arms import training_stage
from pipelines.graph import PROJECT_FILE, stage_definitions
from pipelines.stage_graph import StageDefinition

if TYPE_CHECKING:
    from goa.config import Params

_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A function that some stages call."""

    key: str
    """Where params.yaml names it: ``evaluators.brevity``."""
    settings: PythonSettings
    """The function."""
    stages: tuple[str, ...]
    """Stages that call it; the name of a group stands for all of its stages."""


def unwatched(params: "Params", root: Path = Path()) -> list[str]:
    """Say of each file of the project that evaluators call, which stages do not depend on it.

    One message a file: a change of it would leave those stages as they are. Modules that cannot be
    found are told too; what is installed is no file of the project.
    """
    told: list[str] = []
    waiting: dict[Path, list[_Use]] = {}
    for use in _uses(params):
        file = find_source(use.settings.module, root.resolve())
        if file is None:
            told.append(f"{use.key}: no module {use.settings.module!r} in {root.resolve()}")
        elif (path := _inside(file, root.resolve())) is not None:
            waiting.setdefault(path, []).append(use)
    if not waiting:
        return told
    try:
        stages = stage_definitions(root)
    except PipelineError as error:
        files = ", ".join(map(str, waiting))
        return [*told, f"whether stages depend on {files} is not known: {error}"]
    for path, uses in waiting.items():
        blind = {name for use in uses for name in _blind(path, use.stages, stages)}
        if blind:
            keys = ", ".join(dict.fromkeys(use.key for use in uses))
            told.append(_message(path, keys, [name for name in stages if name in blind]))
    return told


def _uses(params: "Params") -> Iterator[_Use]:
    # Every policy is measured by every evaluator, so evaluations hang on all of them.
    evaluate = ("evaluate", "evaluate_control", "evaluate_mle")
    trained = params.controls.trained(params.evaluators, params.seeds)
    for name, settings in params.evaluators.items():
        own = [training_stage(policy) for policy in trained if policy.arm.evaluator == name]
        stages = (f"score@{name}", *own, *evaluate)
        yield from _inner(f"evaluators.{name}", settings, stages)
    for place, phase in enumerate(params.finetune.phases):
        yield from _inner(f"finetune.phases.{place}", phase, ("finetune", "control"))
    for name, metric in params.evaluate.metrics.items():
        yield from _inner(f"evaluate.metrics.{name}", metric, evaluate)


def _inner(key: str, settings: object, stages: tuple[str, ...]) -> Iterator[_Use]:
    """Find functions among settings, however deep: a composite has parts, a phase an evaluator."""
    if isinstance(settings, PythonSettings):
        yield _Use(key=key, settings=settings, stages=stages)
    elif isinstance(settings, BaseModel):
        yield from _inner(key, dict(settings), stages)
    elif isinstance(settings, dict):
        for name, value in settings.items():
            yield from _inner(f"{key}.{name}", value, stages)


def _inside(file: Path, root: Path) -> Path | None:
    """Give a file's path in the project, unless it is outside or installed."""
    path = file.resolve()
    if not path.is_relative_to(root) or _INSTALLED & set(path.relative_to(root).parts):
        return None
    return path.relative_to(root)


def _blind(path: Path, names: Iterable[str], stages: dict[str, StageDefinition]) -> Iterator[str]:
    """List the stages, of those named, that do not depend on a file or a folder it is in."""
    for name in names:
        group = name.partition("@")[0]
        # A file of parameters that dvc.yaml does not read may name evaluators without stages.
        wanted = {name} if name in stages else {one for one in stages if _group(one) == group}
        for one in wanted:
            if not {path, *path.parents} & set(stages[one].dependencies):
                yield one


def _group(stage: str) -> str:
    return stage.partition("@")[0]


def _message(path: Path, keys: str, blind: Iterable[str]) -> str:
    groups = list(dict.fromkeys(map(_group, blind)))
    return (
        f"{keys}: a change of {path} would go unnoticed: {PROJECT_FILE} does not name it for "
        f"{', '.join(groups)}; add to the deps of each:\n    - {path.as_posix()}"
    )
