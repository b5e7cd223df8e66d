"""A policy and a strategy as a command names them, ready to write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from goa.arms import BASELINE
from goa.config import check
from goa.decoding.generation import Candidates
from goa.decoding.settings import BeamSettings, ChoosingSettings, DecodingSettings
from goa.errors import PipelineError, PolicyError, SettingsError
from goa.evaluation.judges import check_judge
from goa.evaluators.contract import Evaluator
from goa.evaluators.table import MetricSettings, Rewarding, build_evaluator
from goa.policies.compute import set_up, use_device
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.records import Example
from goa.settings import Settings, validate
from pipelines.arms import choose_policy
from pipelines.choice import read_choice
from pipelines.decoding import write
from pipelines.scoring import load_learnt
from pipelines.stage import silence_foreign_bars

POLICIES = Path("out/policies")
BEAM = BeamSettings(kind="beam")
"""What is taken where no strategy is named; a served model does the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes texts for sources."""

    policy: Policy
    """Who writes."""
    strategy: DecodingSettings
    """How."""
    seed: int
    """Of the draws."""
    judges: Mapping[str, Evaluator]
    """The evaluator that the strategy chooses by, if it does."""

    def write(self, examples: Sequence[Example]) -> tuple[Candidates, list[int]]:
        """Write the candidates of B examples, and say which of each is its text."""
        return write(self.policy, examples, self.strategy, self.seed, self.judges)


def open_writer(policy: str, strategy: str | None, seed: int | None, params: Path) -> Writer:
    """Load a policy, and the evaluator that its strategy chooses by, if it does.

    Args:
        policy: a folder, or the name of one in out/policies.
        strategy: a name under generate.strategies, evaluate.strategies or
            evaluate.baseline_strategies, a kind, or settings in braces; None is a beam of 4.
        seed: of the draws; None is that of the parameters, or 0.
        params: the file of parameters, for names, device and seed; need not be there.

    Raises:
        SettingsError: the strategy, or the evaluator that it names, is unknown or wrong.
        PolicyError: there is no such policy, or not the device that is told.
        EvaluatorError: the evaluator has not learnt yet.
    """
    known = _read(params)
    chosen = _resolve(strategy, known.strategies)
    judges = {}
    if isinstance(chosen, ChoosingSettings):
        judges = {chosen.evaluator: _build_judge(chosen, known.evaluators)}
    silence_foreign_bars()
    loaded = load_policy(find_policy(policy), use_device(known.compute, known.threads))
    set_up(loaded, known.compute, dropout=False)
    return Writer(
        policy=loaded,
        strategy=chosen,
        seed=known.seed if seed is None else seed,
        judges=judges,
    )


def find_policy(name: str) -> Path:
    """Find a policy's folder: a bare name is looked for in out/policies first, as is an arm's.

    Raises:
        PolicyError: there is none.
    """
    if "/" not in name and (POLICIES / name).is_dir():
        return POLICIES / name
    if Path(name).is_dir():
        return Path(name)
    there = sorted(path.name for path in POLICIES.glob("*") if path.is_dir())
    try:
        return POLICIES / choose_policy(name, there)
    except PipelineError as error:
        raise PolicyError(f"--policy {name}: no such folder, and in {POLICIES}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a file of parameters has to say about writing."""

    strategies: Mapping[str, DecodingSettings]
    evaluators: Mapping[str, MetricSettings]
    compute: ComputeSettings
    threads: int
    seed: int


def _read(params: Path) -> _Known:
    if not params.exists():
        return _Known(
            strategies={},
            evaluators={},
            compute=ComputeSettings(),
            threads=torch.get_num_threads(),
            seed=0,
        )
    found = check(params)
    return _Known(
        strategies={**found.generate.strategies, **found.evaluate.strategies_of(BASELINE)},
        evaluators=found.evaluate.measured_by(found.evaluators),
        compute=found.compute,
        threads=found.compute.threads.evaluate,
        seed=found.seed,
    )


def _resolve(text: str | None, known: Mapping[str, DecodingSettings]) -> DecodingSettings:
    if text is None:
        return BEAM
    if text in known:
        return known[text]
    content = {"strategy": read_choice("--strategy", text)}
    try:
        return validate(_OneStrategy, content, "--strategy").strategy
    except SettingsError as error:
        names = f"; the parameters name {', '.join(known)}" if known else ""
        raise SettingsError(f"{error}{names}") from None


def _build_judge(strategy: ChoosingSettings, known: Mapping[str, MetricSettings]) -> Evaluator:
    check_judge("--strategy", strategy, known)
    settings = known[strategy.evaluator]
    assert isinstance(settings, Rewarding)
    judge = build_evaluator(strategy.evaluator, settings)
    load_learnt(judge)
    return judge


class _OneStrategy(Settings):
    strategy: DecodingSettings
