"""The flows that deployments run, without Prefect and its servers; with them in test_schedule.py.

The tasks' own functions are called; what Prefect would do around them, others stand in for.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed

from goa.errors import PipelineError
from pipelines import schedule
from pipelines.clones import BusyError, Clone, Source
from pipelines.execution import NotBegunError, StageError
from pipelines.flows import RETRIES, may_pass
from pipelines.mirrors import UnreachableError
from pipelines.schedule import nightly, promotion, reproduce_revision

SHA = "c" * 40
LOCK = b"schema: '2.0'\nstages: {}\n"
SOURCE = Source(repository="project", overrides=("slots=1",), evaluators=("a",), remote="remote")


@dataclass(slots=True)
class Doings:
    """What was done, in order, and what is to go wrong."""

    root: Path
    done: list[Any] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    links: list[Any] = field(default_factory=list)
    opened: list[Source] = field(default_factory=list)
    has_remote: bool = True
    errors: list[Exception | None] = field(default_factory=list)
    page: str | None = "http://mlflow/1"
    at_once: int = 0
    most: int = 0

    async def fetch(self, source: Source) -> str:
        self.done.append(("fetch", source.revision))
        return SHA

    async def clone(self, source: Source, targets: Any, stack: contextlib.ExitStack) -> Clone:
        self.opened.append(source)
        self.done.append(("clone", *targets))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        stack.callback(self._gone)
        return Clone(root=self.root, sha=source.revision, has_remote=self.has_remote)

    async def reproduce(self, *arguments: Any) -> dict[str, str]:
        self.done.append(("reproduce", *arguments))
        await asyncio.sleep(0.01)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return {"prepare": "done"}

    async def push(self, clone: Clone) -> None:
        self.done.append(("push", clone.root))

    async def publish(self, _: Clone, execution: str) -> dict[str, Any]:
        self.done.append(("publish", execution))
        return {"pipeline_id": "run-1", "page": self.page}

    async def promote(self, _: Clone, limit: str | None) -> str:
        self.done.append(("promote", limit))
        return "promoted"

    async def run_elsewhere(self, deployment: str, work: Any) -> None:
        self.done.append(("elsewhere", deployment, work))

    async def table(self, rows: Any, *, key: str, description: str) -> None:
        assert description
        self.tables.append((key, rows))

    async def link(self, address: str, *, key: str, link_text: str) -> None:
        self.links.append((address, key, link_text))

    @contextlib.contextmanager
    def live(self, root: Path, execution: str) -> Iterator[None]:
        self.done.append(("live", root, execution))
        try:
            yield
        finally:
            self.done.append(("live ends",))

    def _gone(self) -> None:
        self.at_once -= 1
        self.done.append(("clone is gone",))

    def names(self) -> list[str]:
        """Name what was done."""
        return [each[0] for each in self.done]


@pytest.fixture
def doings(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Doings:
    """Stand in for all that a flow calls."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    (toy.root / "dvc.lock").write_bytes(LOCK)
    made = Doings(root=toy.root)
    for name, stand_in in {
        "fetch_task": made.fetch,
        "clone_task": made.clone,
        "reproduce": made.reproduce,
        "push_task": made.push,
        "publish_task": made.publish,
        "promote_task": made.promote,
        "run_elsewhere": made.run_elsewhere,
        "acreate_table_artifact": made.table,
        "acreate_link_artifact": made.link,
        "LivePublisher": made.live,
        "get_run_logger": lambda: logging.getLogger("test"),
    }.items():
        monkeypatch.setattr(schedule, name, stand_in)
    return made


def run_nightly(**options: Any) -> list[dict[str, str]]:
    return asyncio.run(nightly.fn(SOURCE, **options))


def test_a_night_reproduces_pushes_records_and_promotes(doings: Doings) -> None:
    rows = run_nightly(slots=3, limit="gpus")
    named = "by-hand slots=1"
    assert doings.done == [
        ("fetch", "HEAD"),
        ("clone",),
        ("live", doings.root, named),
        ("reproduce", [], 3, doings.root, "gpus", True),
        ("push", doings.root),
        ("live ends",),
        ("publish", named),
        ("promote", "gpus"),
        ("clone is gone",),
    ]
    assert rows == [
        {
            "overrides": "slots=1",
            "git": SHA,
            "dvc.lock": hashlib.sha256(LOCK).hexdigest(),
            "mlflow": "run-1",
            "promotion": "promoted",
        }
    ]
    assert doings.tables == [("runs", rows)]
    assert doings.links == [("http://mlflow/1", "mlflow", named)]


def test_where_no_server_shows_the_run_there_is_no_link(doings: Doings) -> None:
    doings.page = None
    run_nightly()
    assert doings.links == []


def test_where_told_nothing_is_promoted(doings: Doings) -> None:
    (row,) = run_nightly(promote=False)
    assert row["promotion"] == ""
    assert "promote" not in doings.names()


def test_promotion_is_a_night_that_promotes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def night(*arguments: Any, **options: Any) -> list[dict[str, str]]:
        asked.append((arguments, options))
        return []

    monkeypatch.setattr(schedule, "nightly", night)
    assert asyncio.run(promotion.fn(SOURCE, 2, "gpus")) == []
    assert asked == [((SOURCE,), {"slots": 2, "limit": "gpus"})]
    assert nightly.parameters.properties["promote"]["default"] is True


def test_each_seed_is_a_run_of_one_commit_one_after_the_other(doings: Doings) -> None:
    rows = run_nightly(seeds=[7, 8, 9])
    assert doings.opened == [
        replace(SOURCE, revision=SHA, overrides=("slots=1", f"seed={seed}")) for seed in (7, 8, 9)
    ]
    assert [row["overrides"] for row in rows] == [f"slots=1 seed={seed}" for seed in (7, 8, 9)]
    assert doings.names().count("fetch") == 1  # main may move meanwhile
    assert doings.most == 1


def test_seeds_run_side_by_side_where_others_do_the_work(doings: Doings) -> None:
    run_nightly(seeds=[7, 8, 9], elsewhere="flow/branch")
    assert doings.most == 3


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "is not set"),
        ("sqlite:///runs.db", "keeps no files"),
        ("postgresql+psycopg://me:secret@host/runs", "keeps no files"),
    ],
)
def test_where_what_is_recorded_would_be_deleted_nothing_is_begun(
    doings: Doings, monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(PipelineError, match=f"MLFLOW_TRACKING_URI .*{said}") as caught:
        run_nightly()
    assert "secret" not in str(caught.value)
    assert doings.done == []


@pytest.mark.parametrize("uri", ["https://runs.example.org", "sqlite:////kept/runs.db"])
def test_where_it_is_kept_the_night_is_begun(
    doings: Doings, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run_nightly()
    assert doings.done


def test_after_a_failure_what_was_made_is_pushed_and_nothing_promoted(doings: Doings) -> None:
    doings.errors = [PipelineError("train@a failed")]
    with pytest.raises(PipelineError, match="train@a failed"):
        run_nightly()
    assert doings.names()[2:] == ["live", "reproduce", "push", "live ends", "clone is gone"]


def test_a_seed_that_fails_does_not_keep_the_others_from_their_end(doings: Doings) -> None:
    doings.errors = [PipelineError("train@a failed"), None, PipelineError("train@b failed")]
    with pytest.raises(PipelineError, match="^train@a failed\ntrain@b failed$"):
        run_nightly(seeds=[7, 8, 9])
    assert doings.names().count("clone is gone") == 3
    ((_, (row,)),) = doings.tables
    assert row["overrides"] == "slots=1 seed=8"


def test_an_error_that_nobody_foresaw_is_told_as_it_is(doings: Doings) -> None:
    doings.errors = [None, OSError("no space left")]
    with pytest.raises(OSError, match="no space left"):
        run_nightly(seeds=[7, 8])


def test_who_is_cancelled_pushes_nothing(doings: Doings) -> None:
    async def cancel() -> None:
        running = asyncio.create_task(nightly.fn(SOURCE))
        while "reproduce" not in doings.names():
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    assert "push" not in doings.names()


def test_shared_work_is_done_elsewhere_first_then_each_branch(doings: Doings) -> None:
    run_nightly(limit="gpus", elsewhere="flow/branch")
    shared, apart = [each for each in doings.done if each[0] == "elsewhere"]
    source = {
        "repository": "project",
        "revision": SHA,
        "overrides": ("slots=1",),
        "evaluators": ("a",),
        "remote": "remote",
    }
    given = {"source": source, "limit": "gpus"}
    assert shared == ("elsewhere", "flow/branch", [{**given, "targets": ["prepare"]}])
    assert apart[1] == "flow/branch"
    assert apart[2] == [
        {**given, "targets": ["train@a"]},
        {**given, "targets": ["train@b"]},
    ]
    # Then what is left is done here, and the rest taken from the remote.
    assert doings.names().index("reproduce") > doings.names().index("elsewhere")


def test_work_is_not_shared_out_without_a_remote(doings: Doings) -> None:
    doings.has_remote = False
    with pytest.raises(PipelineError, match="there is none"):
        run_nightly(elsewhere="flow/branch")
    assert "elsewhere" not in doings.names()


def test_a_branch_is_reproduced_and_pushed(doings: Doings) -> None:
    doings.has_remote = False
    states = asyncio.run(reproduce_revision.fn(SOURCE, ["train@a"], 2, "gpus"))
    assert states == {"prepare": "done"}
    assert doings.done == [
        ("clone", "train@a"),
        ("reproduce", ["train@a"], 2, doings.root, "gpus", False),
        ("push", doings.root),
        ("clone is gone",),
    ]


@pytest.fixture
def clone(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """Give a clone whose tasks log to nowhere."""
    monkeypatch.setattr(schedule, "get_run_logger", lambda: logging.getLogger("test"))
    return Clone(root=toy.root, sha=SHA, has_remote=True)


def answer(monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> list[tuple[str, ...]]:
    """Answer instead of the goa command; gives what it is asked."""
    asked: list[tuple[str, ...]] = []

    async def goa(_: Clone, *arguments: str, **__: Any) -> tuple[int, str]:
        asked.append(arguments)
        return code, said

    monkeypatch.setattr(schedule, "_goa", goa)
    return asked


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_policy_that_is_not_promoted_is_no_failure(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    asked = answer(monkeypatch, code, "writing the test split\nfirst is not better")
    assert asyncio.run(schedule.promote_task.fn(clone, None)) == "first is not better"
    assert asked == [("promote",)]


def test_an_error_of_promotion_is_one(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 2, "error: no such policy")
    with pytest.raises(PipelineError, match="no such policy"):
        asyncio.run(schedule.promote_task.fn(clone, None))
    # Judging takes minutes, and says the same again.
    assert schedule.promote_task.retries == 0


def test_the_last_line_of_publishing_says_what_was_recorded(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer(monkeypatch, 0, 'a warning\n{"page": null, "pipeline_id": "x"}')
    found = asyncio.run(schedule.publish_task.fn(clone, "night seed=7"))
    assert found == {"page": None, "pipeline_id": "x"}
    assert asked == [("publish", "--execution", "night seed=7", "--json")]


def test_publishing_is_tried_again(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 2, "error: the store is away")
    with pytest.raises(UnreachableError, match="the store is away"):
        asyncio.run(schedule.publish_task.fn(clone, "night"))
    assert schedule.publish_task.retries == RETRIES


def test_a_goa_command_runs_in_the_clone_and_what_it_said_is_its_own(clone: Clone) -> None:
    log = clone.root / ".goa" / "logs" / "publish.log"
    log.parent.mkdir(parents=True)
    log.write_text("of the night before")
    (clone.root / "params.yaml").write_text("tracking: {experimnt: x}\n")
    code, said = asyncio.run(schedule._goa(clone, "publish", "--json"))
    assert code == 2
    assert "did you mean experiment" in said
    assert "night" not in said


def test_a_run_is_named_after_its_flow_run(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(flow_run=SimpleNamespace(name="tall-oak"))
    monkeypatch.setattr(schedule.FlowRunContext, "get", lambda: context)
    assert schedule._execution(SOURCE) == "tall-oak slots=1"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NotBegunError("x"), True),
        (UnreachableError("x"), True),
        (BusyError("x"), True),
        (StageError("x"), False),
        (PipelineError("x"), False),
        (OSError("x"), False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, again: bool) -> None:
    assert may_pass(None, None, Completed(data=error)) == again
