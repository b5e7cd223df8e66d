"""What flows show, without Prefect; what its server makes of it is in flows_on_a_server.py."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from goa.report.comparison import Cell, ComparedArm, Comparison, Measure, save_comparison
from goa.report.markdown import render_markdown
from goa.report.verdict import decide
from goa.tracking.spool import Spool
from pipelines import showing
from pipelines.execution import log_path
from pipelines.showing import artifact_key, followed, show_results, show_stages

MLE = Cell(
    strategy="greedy",
    arm="mle",
    metric="bleu",
    score=0.4,
    scores=(0.4,),
    spread=None,
    low=0.3,
    high=0.5,
    trained_on=False,
    change=None,
)
ARM = ComparedArm(name="mle", evaluator=None, control=None, seeds=(), policies=("mle",))
COMPARISON = Comparison(
    arms=(ARM,),
    strategies=("greedy",),
    measures=(Measure(name="bleu", kind="bleu", signature="s", higher_is_better=True),),
    cells=(MLE,),
    attributions=(),
    bar=None,
    peakiness=(),
    alarms=(),
    verdict=decide([MLE], [ARM], 0.95),
    exhibits=(),
    num_examples=3,
    seed=1,
    test="bootstrap",
    resamples=10,
    confidence=0.95,
    significance=0.05,
)


class Logger:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _: int, text: str, *values: object) -> None:
        self.lines.append(text % values)

    def info(self, text: str, *values: object) -> None:
        self.lines.append(text % values)


class Artifacts:
    """Stands in for Prefect's artifacts."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.bar = uuid4()

    async def table(self, rows: Any, *, key: str, description: str) -> None:
        assert description
        self.told.append((key, rows))

    async def markdown(self, page: str, *, key: str, description: str) -> None:
        assert description
        self.told.append((key, page))

    async def make(self, percent: float, key: str, said: str) -> Any:
        self.told.append((key, percent, said))
        return self.bar

    async def update(self, bar: Any, percent: float, said: str) -> None:
        assert bar == self.bar
        self.told.append((percent, said))


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """Stand in for Prefect, and look often."""
    made = Artifacts()
    monkeypatch.setattr(showing, "acreate_table_artifact", made.table)
    monkeypatch.setattr(showing, "acreate_markdown_artifact", made.markdown)
    monkeypatch.setattr(showing, "acreate_progress_artifact", made.make)
    monkeypatch.setattr(showing, "aupdate_progress_artifact", made.update)
    monkeypatch.setattr(showing, "POLL_SECONDS", 0.01)
    return made


def follow(root: Path, *writes: str) -> list[str]:
    """Write to a stage's log, now and then; gives what is logged."""
    log = log_path("train@a", root)
    log.parent.mkdir(parents=True)
    logger = Logger()

    async def run() -> None:
        async with followed("train@a", root, logger):
            for text in writes:
                with log.open("a") as file:
                    file.write(text)
                await asyncio.sleep(0.1)

    asyncio.run(run())
    return logger.lines


def test_each_whole_line_of_a_log_is_sent_once(tmp_path: Path, artifacts: Artifacts) -> None:
    assert follow(tmp_path, "one\ntw", "o\n\nthree\n", "four\nnot whole") == [
        "one",
        "two",
        "three",
        "four",
    ]


def test_what_is_said_at_the_very_end_is_sent(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "POLL_SECONDS", 100)
    assert follow(tmp_path, "last words\n") == ["last words"]


def test_advice_for_people_who_commit_by_hand_is_left_out(
    tmp_path: Path, artifacts: Artifacts
) -> None:
    advice = "To track the changes with git, run:\n\n\tgit add dvc.lock\n"
    assert follow(tmp_path, f"Running\n{advice}done\n") == ["Running", "done"]


def test_of_many_lines_the_last_are_sent(tmp_path: Path, artifacts: Artifacts) -> None:
    (first, *rest) = follow(tmp_path, "".join(f"{place}\n" for place in range(250)))
    assert first == f"... 50 lines, see {log_path('train@a', tmp_path)}"
    assert rest == [str(place) for place in range(50, 250)]


def test_progress_is_one_bar_that_moves(tmp_path: Path, artifacts: Artifacts) -> None:
    spool = Spool(tmp_path / ".goa" / "spool" / "train@a" / "1.jsonl")

    async def run() -> None:
        async with followed("train@a", tmp_path, Logger()):
            for done in (1, 3):
                spool.progress(done, 4, "rounds", "loss 2")
                await asyncio.sleep(0.2)

    asyncio.run(run())
    assert artifacts.told == [
        ("train-a", 25.0, "train@a: 1/4 rounds loss 2"),
        (75.0, "train@a: 3/4 rounds loss 2"),
    ]


def test_a_failure_of_the_stage_comes_through(tmp_path: Path, artifacts: Artifacts) -> None:
    async def run() -> None:
        async with followed("x", tmp_path, Logger()):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "key"),
    [("train@a", "train-a"), ("evaluate_MLE", "evaluate-mle"), ("x@b.c@", "x-b-c")],
)
def test_a_key_has_small_letters_digits_and_dashes_inside(name: str, key: str) -> None:
    assert artifact_key(name) == key


def test_each_stage_has_a_row_and_one_that_was_not_run_took_no_time(artifacts: Artifacts) -> None:
    asyncio.run(show_stages({"a": "done", "b": "up to date"}, {"a": 1.26}))
    assert artifacts.told == [
        (
            "stages",
            [
                {"stage": "a", "state": "done", "seconds": 1.3},
                {"stage": "b", "state": "up to date", "seconds": 0.0},
            ],
        )
    ]


def test_metrics_of_every_stage_are_shown_and_lost_ones_left_out(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "b.json").write_text(json.dumps({"bleu": 0.5}))
    entries = {name: {"outs": [{"path": f"metrics/{name}.json"}]} for name in "ab"}
    monkeypatch.setattr(showing, "lock_entries", lambda _: entries)
    asyncio.run(show_results(tmp_path, ["a", "b"]))
    assert artifacts.told == [("metrics", [{"stage": "b", "metric": "bleu", "value": 0.5}])]


def test_a_run_of_a_part_shows_nothing_of_the_rest(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics").mkdir()
    for value, name in enumerate("ab"):
        (tmp_path / "metrics" / f"{name}.json").write_text(json.dumps({"bleu": value}))
    (tmp_path / "out" / "comparison").mkdir(parents=True)
    save_comparison(tmp_path / "out" / "comparison" / "comparison.json", COMPARISON)
    entries = {name: {"outs": [{"path": f"metrics/{name}.json"}]} for name in ("a", "b", "compare")}
    monkeypatch.setattr(showing, "lock_entries", lambda _: entries)
    asyncio.run(show_results(tmp_path, ["a"]))
    assert artifacts.told == [("metrics", [{"stage": "a", "metric": "bleu", "value": 0.0}])]


def test_the_comparison_is_shown_as_a_page(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "lock_entries", lambda _: {})
    asyncio.run(show_results(tmp_path, ["compare"]))
    assert artifacts.told == []  # nothing measured, nothing compared
    (tmp_path / "out" / "comparison").mkdir(parents=True)
    save_comparison(tmp_path / "out" / "comparison" / "comparison.json", COMPARISON)
    asyncio.run(show_results(tmp_path, ["compare"]))
    ((key, page),) = artifacts.told
    assert key == "comparison"
    assert page == render_markdown(COMPARISON, {})
