"""``goa rescore``: the candidates that are there, scored by another evaluator."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path

from rich.console import Console
from rich.progress import track

from goa.data.corpus import open_split
from goa.data.pool import Reward, read_pool, read_rewards, write_rewards
from goa.errors import DataError, GoaError, PipelineError
from goa.evaluation.agreement import Agreement, agreement
from goa.evaluators.contract import Evaluator
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.settings import Settings, read_sections, validate
from goa.yaml_text import parse_yaml
from pipelines.choice import choose_evaluators
from pipelines.score import POOL, pair_with_examples, score_batches, summarize
from pipelines.scoring import open_scoring
from pipelines.stage import PARAMS, STATE

DATA = Path("out/data")
REWARDS = Path("out/rewards")
"""The score stages' own; nobody else writes there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """What an evaluator says of the pool, and who says the like."""

    summary: Mapping[str, Mapping[str, float | None]]
    """By strategy, as the score stage has it."""
    agreements: Mapping[tuple[str, str], Agreement]
    """By the name of a file of rewards and of a strategy with several candidates a source."""
    problems: tuple[str, ...]
    """Why files of rewards could not be compared."""


class _Given(Settings):
    """Settings from the command line, under the name they are given to."""

    evaluators: dict[EvaluatorName, EvaluatorSettings]


def rescore(name: str, settings: str | None, out: Path | None) -> Rescored:
    """Score the pool's candidates through the store of rewards; nothing is generated.

    Args:
        name: of the evaluator: one of params.yaml, unless its settings are given.
        settings: YAML of an evaluator's settings.
        out: where to write the rewards; None: nowhere.

    Raises:
        SettingsError: there is no such evaluator, or its settings are wrong.
        PipelineError: the rewards may not be written there.
        GoaError: there is no pool, or the evaluator fails.
    """
    if out is not None:
        _prepare(out)
    chosen = _choose(name, settings)
    scoring: ScoringSettings = read_sections(PARAMS, scoring=ScoringSettings).scoring
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="rescore-") as folder:
        path = Path(folder) / "rewards.parquet"
        with open_scoring(scoring) as build:
            write_rewards(path, _score(build(name, chosen)))
        found = _compare(path)
        if out is not None:
            shutil.move(path, out)
    return found


def _prepare(out: Path) -> None:
    """Make the folder of a file that is to be written, before a reward is paid for.

    Raises:
        PipelineError: the place is a stage's, or cannot be written to.
    """
    inside = out.resolve().parents
    if REWARDS.resolve() in inside or (out.exists() and POOL.parent.resolve() in inside):
        raise PipelineError(f"{out}: belongs to a stage; choose another place for these rewards")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"{out.parent}: {error.strerror}") from None
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise PipelineError(f"{out}: no file can be written here")


def _choose(name: str, settings: str | None) -> EvaluatorSettings:
    if settings is None:
        params = read_sections(PARAMS, evaluators=dict[EvaluatorName, EvaluatorSettings])
        return choose_evaluators(params.evaluators, [name])[name]
    content = parse_yaml(settings, "--settings")
    return validate(_Given, {"evaluators": {name: content}}, "--settings").evaluators[name]


def _score(evaluator: Evaluator) -> Iterator[Reward]:
    """Score the pool, with a bar on a terminal."""
    pairs = pair_with_examples(read_pool(POOL), open_split(DATA, "train"))
    console = Console(stderr=True)
    batches = track(
        score_batches(evaluator, pairs),
        f"{evaluator.name}: batches of candidates",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    for batch in batches:
        yield from batch


def _compare(path: Path) -> Rescored:
    agreements: dict[tuple[str, str], Agreement] = {}
    problems = []
    for other in sorted(REWARDS.glob("*.parquet")):
        try:
            by_strategy = _pair_up(path, other)
        except GoaError as error:
            problems.append(str(error))
            continue
        for strategy, pairs in by_strategy.items():
            agreements[other.stem, strategy] = agreement(pairs)
    return Rescored(
        summary=summarize(read_rewards(path)), agreements=agreements, problems=tuple(problems)
    )


_Values = list[float | None]


def _pair_up(path: Path, other: Path) -> dict[str, list[tuple[_Values, _Values]]]:
    """Lay two files' rewards side by side: source by source, by strategy.

    Strategies with one candidate a source have nothing to be ranked and are left out.

    Raises:
        DataError: the files are of different candidates.
    """
    found: dict[str, list[tuple[_Values, _Values]]] = {}
    for ours, theirs in zip_longest(read_rewards(path), read_rewards(other), fillvalue=()):
        if _keys(ours) != _keys(theirs):
            raise DataError(f"{other}: rewards of other candidates than the pool's; not compared")
        pairs = zip(ours, theirs, strict=True)
        for strategy, group in groupby(pairs, key=lambda pair: pair[0].strategy):
            rows = list(group)
            if len(rows) > 1:
                found.setdefault(strategy, []).append(
                    ([one.reward for one, _ in rows], [two.reward for _, two in rows])
                )
    return found


def _keys(rewards: Sequence[Reward]) -> list[tuple[str, str, int]]:
    return [(reward.example_id, reward.strategy, reward.rank) for reward in rewards]
