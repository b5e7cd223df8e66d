"""Sharing a graph out, with stand-ins for Prefect's server; a real one is in test_schedule.py."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import State, StateType

from goa.errors import PipelineError
from pipelines import fan_out
from pipelines.fan_out import branches, run_elsewhere
from pipelines.graph import read_graph
from pipelines.stage_graph import StageDefinition, StageGraph

ROOT = Path(__file__).parents[2]


def graph(**parents: str) -> StageGraph:
    """Make a graph of stages, each with what it needs, in running order."""
    stages = {
        name: StageDefinition(name=name, cmd="x", dependencies=(), params={}, outputs=())
        for name in parents
    }
    return StageGraph(
        stages=stages, parents={name: frozenset(text.split()) for name, text in parents.items()}
    )


@pytest.fixture(scope="module")
def real() -> tuple[StageGraph, list[str], list[str]]:
    """Cut the graph of dvc.yaml itself."""
    found = read_graph(ROOT)
    return found, *branches(found)


def test_what_several_branches_need_is_the_trunk() -> None:
    found = graph(
        prepare="", pretrain="prepare", generate="pretrain",
        score_a="generate", tune_a="score_a pretrain", test_a="tune_a prepare",
        score_b="generate", tune_b="score_b pretrain", test_b="tune_b prepare",
        test_mle="pretrain", compare="test_a test_b test_mle",
    )  # fmt: skip
    # Not prepare and pretrain: generate needs them, and with it they come.
    assert branches(found) == (["generate"], ["test_a", "test_b", "test_mle"])


def test_branches_that_share_nothing_have_no_trunk() -> None:
    found = graph(a="", train_a="a", b="", train_b="b", compare="train_a train_b")
    assert branches(found) == ([], ["train_a", "train_b"])


def test_what_all_branches_need_and_the_last_too_is_run_once() -> None:
    found = graph(prepare="", a="prepare", b="prepare", compare="prepare a b")
    assert branches(found) == (["prepare"], ["a", "b"])


def test_every_stage_but_the_last_is_run_by_trunk_and_branches() -> None:
    found = graph(raw="", prepare="raw", a="prepare", b="prepare", compare="a b")
    trunk, ends = branches(found)
    assert set(found.select([*trunk, *ends])) == set(found.stages) - {"compare"}


def test_a_branch_of_several_stages_is_one_although_the_last_stage_reads_them_all() -> None:
    cut = graph(
        mle="", tune_a="mle", tune_b="mle", a="tune_a", b="tune_b", compare="mle a b tune_a tune_b"
    )
    assert branches(cut) == (["mle"], ["a", "b"])


def test_a_single_branch_is_given_away_whole() -> None:
    assert branches(graph(data="", a="data", compare="a")) == ([], ["a"])


def test_policies_are_fine_tuned_apart(real) -> None:
    whole, trunk, ends = real
    shared = set(whole.select(trunk))
    tuned = [name for name in whole.stages if name.startswith("finetune@")]
    assert shared.isdisjoint(tuned)
    own = [set(whole.select([end])) - shared for end in ends]
    assert sorted(sum(name in branch for branch in own) for name in tuned) == [1] * len(tuned)


def test_nothing_but_the_comparison_is_left_to_whoever_shared_the_work_out(real) -> None:
    whole, _, ends = real
    assert set(whole.stages) - set(whole.select(ends)) == {"compare"}


def ended(kind: str) -> State:
    return State(type=StateType[kind], message="its words")


@dataclass(slots=True)
class Pool:
    """Stands in for a Prefect server with workers."""

    ends: dict[str, list[State | None]]
    """Targets -> states that are seen one after the other, of one run after the other."""
    given: list[dict[str, Any]] = field(default_factory=list)
    targets: dict[UUID, str] = field(default_factory=dict)
    forced: list[tuple[UUID, str, bool]] = field(default_factory=list)

    async def run_deployment(self, name: str, **options: Any) -> Any:
        self.given.append({"deployment": name, **options})
        run = uuid4()
        self.targets[run] = " ".join(options["parameters"]["targets"])
        return SimpleNamespace(id=run, name="happy-run")

    @contextlib.contextmanager
    def sync_client(self) -> Iterator[Any]:
        yield self

    def set_flow_run_state(self, run: UUID, state: State, *, force: bool) -> None:
        self.forced.append((run, state.type.name, force))

    async def read_flow_run(self, run: UUID) -> Any:
        return SimpleNamespace(state=self.ends[self.targets[run]].pop(0))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Stand in for Prefect."""
    made = Pool(ends={})

    @contextlib.asynccontextmanager
    async def client() -> Any:
        yield made

    def get_client(sync_client: bool = False) -> Any:
        return made.sync_client() if sync_client else client()

    monkeypatch.setattr(fan_out, "get_client", get_client)
    monkeypatch.setattr(fan_out, "run_deployment", made.run_deployment)
    monkeypatch.setattr(fan_out, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(fan_out, "POLL_SECONDS", 0.001)
    return made


def elsewhere(*targets: str) -> None:
    work = [{"targets": target.split(), "limit": "gpus"} for target in targets]
    asyncio.run(run_elsewhere("flow/deployment", work))


def test_work_is_given_away_and_waited_for(pool: Pool) -> None:
    pool.ends = {"a b": [None, ended("PENDING"), ended("RUNNING"), ended("COMPLETED")]}
    elsewhere("a b")
    assert pool.given == [
        {
            "deployment": "flow/deployment",
            "parameters": {"targets": ["a", "b"], "limit": "gpus"},
            "timeout": 0,  # we wait ourselves, so that cancelling reaches the run
            "flow_run_name": "a b (1)",
        }
    ]
    assert pool.ends == {"a b": []}
    assert pool.forced == []


def test_the_work_of_a_machine_that_went_away_is_given_to_the_pool_again(pool: Pool) -> None:
    pool.ends = {"a": [ended("CRASHED"), ended("CRASHED"), ended("COMPLETED")]}
    elsewhere("a")
    assert [each["flow_run_name"] for each in pool.given] == ["a (1)", "a (2)", "a (3)"]


def test_work_that_crashes_again_and_again_is_given_up(pool: Pool) -> None:
    pool.ends = {"a": [ended("CRASHED")] * 5}
    with pytest.raises(PipelineError, match="^a: crashed 3 times$"):
        elsewhere("a")
    assert len(pool.given) == 3


@pytest.mark.parametrize(("end", "word"), [("FAILED", "Failed"), ("CANCELLED", "Cancelled")])
def test_work_that_failed_is_not_given_again(pool: Pool, end: str, word: str) -> None:
    pool.ends = {"a": [ended(end)]}
    with pytest.raises(PipelineError, match=f"^a: {word} elsewhere: its words$"):
        elsewhere("a")
    assert len(pool.given) == 1


def test_one_failure_lets_the_others_end_and_all_failures_are_told(pool: Pool) -> None:
    slow = [ended("RUNNING")] * 20
    pool.ends = {"a": [ended("FAILED")], "b": [*slow, ended("COMPLETED")], "c": [ended("FAILED")]}
    with pytest.raises(PipelineError, match="^a: .*\nc: .*$"):
        elsewhere("a", "b", "c")
    assert pool.ends["b"] == []


def test_branches_run_side_by_side(pool: Pool) -> None:
    pool.ends = {name: [ended("RUNNING"), ended("COMPLETED")] for name in "abc"}
    elsewhere("a", "b", "c")
    assert len(pool.given) == 3
    pool.given.clear()
    pool.ends = {"a": [ended("RUNNING")] * 10**4, "b": [ended("RUNNING")] * 10**4}

    async def cancel() -> None:
        running = asyncio.create_task(
            run_elsewhere("x/y", [{"targets": ["a"]}, {"targets": ["b"]}])
        )
        while len(pool.given) < 2:  # the second is given although the first has not ended
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(cancel(), 30))
    # Whoever is cancelled leaves nobody at work elsewhere.
    runs = [run for run, target in pool.targets.items() if target in pool.ends][-2:]
    assert sorted(pool.forced) == sorted((run, "CANCELLING", True) for run in runs)
