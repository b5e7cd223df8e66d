"""An evaluator with a store before it and processes behind it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from goa.errors import EvaluatorError, SettingsError
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.rule import RuleSettings
from goa.evaluators.scoring import ScoringService, ScoringSettings
from goa.evaluators.workers import Builder, Call, Workers
from goa.records import Example, Sample, Scores
from goa.settings import validate

EXAMPLES = [
    Example(id=str(number), source=f"source {number}", references=(f"reference {number}",))
    for number in range(4)
]
Open = Callable[..., ScoringService]


class Counting(Evaluator):
    """Tenths of the length; fails as candidates tell it to, and notes what it was asked."""

    signature = "counting"

    def __init__(self, name: str, log: Path, traits: frozenset[str]) -> None:
        self.name = name
        self.log = log
        self.reads_batch = "reads_batch" in traits
        self.draws = "draws" in traits

    def score(self, samples: Sequence[Sample]) -> Scores:
        with self.log.open("a") as log:
            log.write("".join(f"{sample.candidate}\n" for sample in samples))
        for sample in samples:
            if sample.candidate == "raise":
                raise KeyError("lexicon")
            if sample.candidate == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if sample.candidate == "sleep":
                time.sleep(60)
        values = tuple(
            None if s.candidate == "none" else float("nan") if s.candidate == "nan"
            else len(s.candidate) / 10
            for s in samples
        )  # fmt: skip
        return Scores(values=values, parts={"half": tuple(v and v / 2 for v in values)})


@dataclass(frozen=True)
class CountingSettings:
    log: Path
    traits: frozenset[str] = frozenset()

    def build(self, name: str) -> Counting:
        return Counting(name, self.log, self.traits)


def write(*candidates: str) -> list[Sample]:
    return [
        Sample(example=EXAMPLES[place % len(EXAMPLES)], candidate=candidate)
        for place, candidate in enumerate(candidates)
    ]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    services: list[ScoringService] = []

    def make(
        builder: Builder | None = None, *, stored: bool = True, **settings: object
    ) -> ScoringService:
        builder = builder or CountingSettings(tmp_path / "log")
        folder = tmp_path / "rewards" if stored else None
        service = ScoringService("counting", builder, ScoringSettings(**settings), folder)
        services.append(service)
        return service

    yield make
    for service in services:
        service.close()


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], list[str]]:
    """List what the evaluator was asked for since the last time."""
    log = tmp_path / "log"

    def take() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    return take


def test_a_timeout_without_a_process_to_stop_is_refused() -> None:
    with pytest.raises(SettingsError, match="set processes to 1 or more"):
        validate(ScoringSettings, {"timeout": 1.0}, "here")


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("builder", [BleuSettings(), RuleSettings()])
def test_scores_are_those_of_the_evaluator(builder, processes, opened: Open, samples) -> None:
    expected = checked_score(builder.build("counting"), samples * 20)
    service = opened(builder, processes=processes)
    assert checked_score(service, samples * 20) == expected
    assert checked_score(opened(builder), samples * 20) == expected
    assert service.signature == builder.build("counting").signature


def test_it_is_itself_an_evaluator_that_waits_for_its_scores(opened: Open) -> None:
    assert opened().score(write("a", "bb")).values == (0.1, 0.2)


def test_only_what_is_new_is_asked_for_even_by_a_later_run(opened: Open, asked) -> None:
    first = opened()
    checked_score(first, write("a", "bb", "a"))
    first.close()
    assert asked() == ["a", "bb", "a"]
    scores = checked_score(opened(), write("a", "bb", "cc", "d"))
    assert asked() == ["cc", "d"]
    assert scores == Scores(values=(0.1, 0.2, 0.2, 0.1), parts={"half": (0.05, 0.1, 0.1, 0.05)})


@pytest.mark.parametrize("trait", ["reads_batch", "draws"])
def test_what_hangs_on_the_batch_or_on_chance_is_never_kept(
    trait: str, opened: Open, asked, tmp_path: Path
) -> None:
    service = opened(CountingSettings(tmp_path / "log", frozenset({trait})))
    checked_score(service, write("a"))
    checked_score(service, write("a"))
    assert asked() == ["a", "a"]


def test_without_a_store_everything_is_asked_for(opened: Open, asked) -> None:
    service = opened(stored=False)
    checked_score(service, write("a"))
    checked_score(service, write("a"))
    assert asked() == ["a", "a"]


def test_what_does_not_apply_is_asked_for_again(opened: Open, asked) -> None:
    service = opened()
    assert checked_score(service, write("none", "a")).values == (None, 0.1)
    assert checked_score(service, write("none", "a")).values == (None, 0.1)
    assert asked() == ["none", "a", "none"]


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize("bad", ["raise", "nan"])
def test_a_failure_is_an_error_that_names_evaluator_and_sample(
    bad: str, processes: int, opened: Open
) -> None:
    service = opened(processes=processes)
    with pytest.raises(EvaluatorError, match=rf"counting.*example '1', candidate '{bad}'"):
        checked_score(service, write("a", bad, "cc"))


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize("bad", ["raise", "nan"])
def test_where_told_a_failure_costs_its_sample_alone(
    bad: str, processes: int, opened: Open, asked
) -> None:
    service = opened(processes=processes, unscored="drop")
    scores = checked_score(service, write("a", bad, "cc", "d", "eee"))
    assert scores.values == (0.1, None, 0.2, 0.1, 0.3)
    assert scores.parts == {"half": (0.05, None, 0.1, 0.05, 0.15)}
    asked()
    assert checked_score(service, write("a", bad)).values == (0.1, None)
    assert "a" not in asked()


def test_a_failing_call_is_let_go_whole_where_scores_hang_on_the_batch(
    opened: Open, tmp_path: Path
) -> None:
    builder = CountingSettings(tmp_path / "log", frozenset({"reads_batch"}))
    service = opened(builder, unscored="drop")
    assert checked_score(service, write("a", "raise")).values == (None, None)


def test_a_process_that_dies_is_an_error_and_the_next_call_has_another(opened: Open) -> None:
    service = opened(processes=2)
    with pytest.raises(EvaluatorError, match="counting: the process that scored .* died"):
        checked_score(service, write("die", "a"))
    assert checked_score(service, write("a")).values == (0.1,)


def test_an_evaluator_that_takes_too_long_is_stopped(opened: Open) -> None:
    service = opened(processes=1)
    checked_score(service, write("a"))  # the process is up
    assert service._workers is not None
    service._workers._timeout = 0.5
    (process,) = service._workers._pool._processes.values()
    with pytest.raises(EvaluatorError, match="took longer than scoring.timeout, 0.5 s"):
        checked_score(service, write("sleep"))
    assert process.exitcode == -signal.SIGKILL  # nobody waited until it woke


def test_calls_beside_one_that_ends_its_process_are_made_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goa.evaluators.scoring.SAMPLES_PER_CALL", 1)
    service = opened(processes=2, unscored="drop")
    scores = checked_score(service, write("a", "bb", "die", "ccc", "dddd"))
    assert scores.values == (0.1, 0.2, None, 0.3, 0.4)


def test_a_call_is_made_again_however_often_processes_were_started_afresh(tmp_path: Path) -> None:
    workers = Workers("counting", CountingSettings(tmp_path / "log"), 1, None)
    try:
        workers.restart()
        call = workers.submit(write("bb"))
        workers.restart()
        assert workers.wait(call).values == (0.2,)
    finally:
        workers.stop()


def test_a_call_after_a_process_has_died_unseen_has_another(tmp_path: Path) -> None:
    workers = Workers("counting", CountingSettings(tmp_path / "log"), 1, None)
    try:
        unseen = workers.submit(write("die"))
        assert isinstance(unseen.future.exception(timeout=60), BrokenProcessPool)
        assert workers.wait(workers.submit(write("bb"))).values == (0.2,)
    finally:
        workers.stop()


def test_scoring_goes_on_while_the_caller_does_something_else(opened: Open, asked) -> None:
    service = opened(processes=1)
    checked_score(service, write("a"))
    asked()
    finish = service.begin(write("bb"))
    deadline = time.monotonic() + 30
    while (found := asked()) == [] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == ["bb"]
    assert finish().values == (0.2,)


def test_other_parts_than_before_are_an_error(opened: Open, monkeypatch) -> None:
    service = opened()
    checked_score(service, write("a"))
    monkeypatch.setattr(
        Counting, "score", lambda _, samples: Scores(values=(0.5,), parts={"x": (0.5,)})
    )
    with pytest.raises(EvaluatorError, match="gave the parts x, and before them half"):
        checked_score(service, write("bb"))


def test_statistics_and_corpus_scores_are_the_evaluators_own(opened: Open) -> None:
    samples = write("source 0", "reference 1 is this", "reference 2")
    plain, bleu = BleuSettings().build("bleu"), opened(BleuSettings())
    assert not bleu.averages
    assert np.array_equal(bleu.statistics(samples), plain.statistics(samples))
    sums = plain.statistics(samples).sum(axis=0)
    assert bleu.corpus(sums) == plain.corpus(sums)
    counting = opened()
    assert counting.averages
    assert counting.statistics(write("a", "bb")).tolist() == [[0.1, 1.0], [0.2, 1.0]]


@pytest.mark.parametrize(
    ("traits", "sizes"), [((), [2, 2, 1]), (("reads_batch",), [5]), (("draws",), [5])]
)
def test_only_what_hangs_on_nothing_else_is_scored_in_pieces(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traits, sizes
) -> None:
    monkeypatch.setattr("goa.evaluators.scoring.SAMPLES_PER_CALL", 2)
    service = opened(CountingSettings(tmp_path / "log", frozenset(traits)), processes=1)
    assert service._workers is not None
    submit, asked = service._workers.submit, []

    def note(samples: Sequence[Sample]) -> Call:
        asked.append(len(samples))
        return submit(samples)

    monkeypatch.setattr(service._workers, "submit", note)
    values = checked_score(service, write("a", "bb", "ccc", "dddd", "e")).values
    assert values == (0.1, 0.2, 0.3, 0.4, 0.1)
    assert asked == sizes


def test_closing_ends_the_processes_and_lets_go_of_the_store(opened: Open) -> None:
    service = opened(processes=1)
    checked_score(service, write("a"))
    assert service._workers is not None
    (process,) = service._workers._pool._processes.values()
    service.close()
    assert not process.is_alive()
    assert service._store is not None
    with pytest.raises(EvaluatorError, match="closed"):
        service._store.find(write("a", "b"))  # of the second example nothing is in memory


LEAVING = """
import os
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.workers import Workers
from goa.records import Example, Sample

workers = Workers("bleu", BleuSettings(kind="bleu"), 1, None)
sample = Sample(example=Example(id="1", source="s", references=("a b",)), candidate="a b")
workers.wait(workers.submit([sample]))
print(*workers._pool._processes, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_process_ends_when_whoever_asked_it_was_killed() -> None:
    root = Path(__file__).parents[3]
    argv = [sys.executable, "-c", LEAVING]
    done = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    stat, deadline = Path(f"/proc/{int(done.stdout)}/stat"), time.monotonic() + 30
    with contextlib.suppress(OSError):  # it is gone
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.05)
