"""Steps that are recorded once and played, as CUDA graphs are on a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch

from goa.decoding import recording, stepwise
from goa.decoding.generation import Candidates, generate
from goa.decoding.recording import RECORDERS, CudaGraphs, Record, Repeated, Work, recorder
from goa.decoding.settings import (
    BeamSettings,
    GreedySettings,
    SampleSettings,
    StochasticBeamSettings,
    StrategySettings,
)
from goa.policies import keys
from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from tests.conftest import SENTENCES
from tests.goa.decoding import tape

ARCHITECTURES = ["marian", "bart", "t5", "llama"]
SAMPLE = SampleSettings(kind="sample", num_candidates=5, max_tokens=14)
STRATEGIES = [
    GreedySettings(kind="greedy", max_tokens=14),
    SAMPLE,
    SAMPLE.model_copy(update={"temperature": 0.7, "top_k": 30, "top_p": 0.9}),
    SAMPLE.model_copy(update={"min_p": 0.01, "epsilon": 0.001}),
]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """Have steps recorded on the CPU; gives what was recorded."""
    return recording_by(tape.record, "cpu", monkeypatch)


def recording_by(record: Record, device: str, monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """Have steps recorded, several times each: gives what was recorded.

    Room is for four tokens at first, and every third token those that have ended are left out.
    """
    works: list[Work] = []

    def recorded(work: Work) -> Work:
        works.append(work)
        return record(work)

    monkeypatch.setitem(RECORDERS, device, lambda _: recorded)
    monkeypatch.setattr(keys, "ROOM", 4)
    monkeypatch.setattr(stepwise, "LOOK_EVERY", {device: 3})
    return works


def run(
    policy: Policy, strategy: StrategySettings, prefixes: Tokens | None = None, seed: int = 1
) -> Candidates:
    sources = policy.tokenize_sources(SENTENCES)
    return generate(policy, sources, strategy, seed, SENTENCES, prefixes)


def assert_same(one: Candidates, two: Candidates) -> None:
    assert one.texts == two.texts
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(one.mask, two.mask)
    torch.testing.assert_close(one.log_probs, two.log_probs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_candidates_of_recorded_steps_are_those_of_steps_that_are_not(
    ending_policy: Callable[[str], Policy],
    recorded: list[Work],
    architecture: str,
    strategy: StrategySettings,
) -> None:
    policy = ending_policy(architecture)
    expected = run(policy, strategy)
    assert not recorded
    policy.cuda_graphs = True
    assert_same(run(policy, strategy), expected)
    assert recorded


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_are_recorded_anew_only_where_room_is_made_or_candidates_leave(
    make_policy: Callable[..., Policy],
    ending_policy: Callable[[str], Policy],
    recorded: list[Work],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
) -> None:
    policy = make_policy(architecture)
    policy.cuda_graphs = True
    policy.end_id = -1  # never comes
    run(policy, SAMPLE.model_copy(update={"max_tokens": 18}))
    assert len(recorded) == 4  # for up to 4, 8, 16 and 32 tokens
    recorded.clear()
    policy = ending_policy(architecture)
    policy.cuda_graphs = True
    chosen: list[int] = []
    select = stepwise._Drawn.select

    def watched(drawn: stepwise._Drawn, places: torch.Tensor) -> None:
        chosen.append(len(places))
        select(drawn, places)

    monkeypatch.setattr(stepwise._Drawn, "select", watched)
    monkeypatch.setattr(keys, "ROOM", 32)
    run(policy, SAMPLE)
    assert len(recorded) == len(chosen) + 1 > 1


def test_what_is_given_is_written_first(
    ending_policy: Callable[[str], Policy], recorded: list[Work]
) -> None:
    policy = ending_policy("marian")
    given = policy.pad([[7, 8, 9, 10, 11, 12], [], [7], [8, 9, 10], [9]])
    expected = run(policy, SAMPLE, given)
    policy.cuda_graphs = True
    assert_same(run(policy, SAMPLE, given), expected)
    assert recorded
    assert expected.tokens[0, :, :6].tolist() == [[7, 8, 9, 10, 11, 12]] * 5
    assert expected.texts[1] == run(policy, SAMPLE).texts[1]  # nothing was given


@pytest.mark.parametrize("seed", [2, 3])
def test_other_draws_are_recorded_as_well(
    ending_policy: Callable[[str], Policy], recorded: list[Work], seed: int
) -> None:
    policy = ending_policy("t5")
    expected = run(policy, SAMPLE, seed=seed)
    policy.cuda_graphs = True
    assert_same(run(policy, SAMPLE, seed=seed), expected)


@pytest.mark.parametrize(
    "strategy",
    [
        SAMPLE.model_copy(update={"no_repeat_ngram": 2}),
        BeamSettings(kind="beam", num_beams=3, max_tokens=12),
        StochasticBeamSettings(kind="stochastic_beam", num_candidates=4, max_tokens=12),
    ],
    ids=lambda strategy: str(strategy.kind),
)
def test_what_looks_at_what_is_written_is_not_recorded(
    ending_policy: Callable[[str], Policy], recorded: list[Work], strategy: StrategySettings
) -> None:
    policy = ending_policy("marian")
    expected = run(policy, strategy)
    policy.cuda_graphs = True
    assert_same(run(policy, strategy), expected)
    assert not recorded


@pytest.mark.parametrize(("architecture", "target"), [("marian", "fc1"), ("llama", "up_proj")])
def test_steps_of_transformers_are_not_recorded(
    ending_policy: Callable[[str], Policy], recorded: list[Work], architecture: str, target: str
) -> None:
    policy = ending_policy(architecture)
    add_adapter(policy, AdapterSettings(rank=2, targets=[target]), seed=1)
    policy.model.eval()
    expected = run(policy, SAMPLE)
    policy.cuda_graphs = True
    assert_same(run(policy, SAMPLE), expected)
    assert not recorded


def test_nothing_is_recorded_unless_told_and_on_a_gpu(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.device] = []
    monkeypatch.setitem(RECORDERS, "cuda", lambda device: asked.append(device) or tape.record)
    assert recorder(policy) is None
    policy.cuda_graphs = True
    assert recorder(policy) is None
    monkeypatch.setattr(type(policy), "device", torch.device("cuda", 3))
    assert recorder(policy) is tape.record
    assert asked == [torch.device("cuda", 3)]
    policy.cuda_graphs = False
    assert recorder(policy) is None


class FakeGraph:
    """A CUDA graph that records nothing, and says what is done with it."""

    log: ClassVar[list[str]] = []
    alive: ClassVar[int] = 0

    def __init__(self) -> None:
        type(self).alive += 1

    def __del__(self) -> None:
        type(self).alive -= 1

    def capture_begin(self, pool: str, capture_error_mode: str) -> None:
        self.log.append(f"begin in {pool}, {capture_error_mode}, of {self.alive}")

    def capture_end(self) -> None:
        self.log.append("end")
        if "broken" in self.log:
            raise RuntimeError("capture was invalidated")

    def replay(self) -> None:
        self.log.append("replay")


class FakeStream:
    """A stream on which nothing waits."""

    def __init__(self, device: torch.device) -> None:
        FakeGraph.log.append(f"stream on {device}")

    def synchronize(self) -> None:
        """Wait for nothing."""


@contextmanager
def entered(what: object) -> Iterator[None]:
    FakeGraph.log.append(f"enter {what if isinstance(what, torch.device) else 'stream'}")
    yield
    FakeGraph.log.append("leave")


def test_cuda_graphs_share_a_pool_that_the_last_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the order of calls alone: that a GPU does what it is told is for a test on one."""
    monkeypatch.setattr(FakeGraph, "log", log := [])
    for name, fake in {
        "CUDAGraph": FakeGraph,
        "Stream": FakeStream,
        "graph_pool_handle": lambda: "pool",
        "device": entered,
        "stream": entered,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    graphs = CudaGraphs(torch.device("cuda", 3))
    assert log == ["stream on cuda:3"]
    around = ["enter cuda:3", "enter stream"], ["end", "leave", "leave"]
    for alive in (1, 2):  # the one before is there until the next is recorded
        log.clear()
        play = graphs(lambda: log.append("work"))
        begun = f"begin in pool, thread_local, of {alive}"
        assert log == [*around[0], begun, "work", *around[1]]
        log.clear()
        play()
        assert log == ["replay"]
        del play
    assert FakeGraph.alive == 1

    def broken() -> None:
        log.append("broken")
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        graphs(broken)
    assert log[-2:] == ["broken", "end"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_on_a_gpu_candidates_of_cuda_graphs_are_those_of_steps_that_are_not_recorded(
    ending_policy: Callable[[str], Policy],
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    strategy: StrategySettings,
) -> None:
    works = recording_by(CudaGraphs(torch.device("cuda", 0)), "cuda", monkeypatch)
    policy = ending_policy(architecture)
    policy.model.to("cuda")
    for seed in (1, 2):
        policy.cuda_graphs = False
        expected = run(policy, strategy, seed=seed)
        policy.cuda_graphs = True
        assert_same(run(policy, strategy, seed=seed), expected)
    assert len(works) >= 2


def test_work_is_done_once_before_it_is_recorded_and_anew_once_it_is_forgotten() -> None:
    done: list[str] = []

    def record(work: Work) -> Work:
        done.append("record")
        return lambda: done.append("play")

    repeated = Repeated(lambda: done.append("work"), record)
    for _ in range(4):
        repeated.run()
    assert done == ["work", "record", "play", "play", "play"]
    repeated.forget()
    done.clear()
    for _ in range(2):
        repeated.run()
    assert done == ["work", "record", "play"]


def test_what_cannot_be_recorded_is_done_each_time_with_a_warning(
    ending_policy: Callable[[str], Policy], recorded: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ending_policy("marian")
    expected = run(policy, SAMPLE)
    choose_next = stepwise._Drawn.choose_next

    def waiting(drawn: stepwise._Drawn) -> None:
        choose_next(drawn)
        drawn._lengths.sum().item()

    monkeypatch.setattr(stepwise._Drawn, "choose_next", waiting)
    policy.cuda_graphs = True
    with pytest.warns(UserWarning, match=r"not permitted when stream is capturing.*graphs: false"):
        found = run(policy, SAMPLE)
    assert_same(found, expected)
    assert len(recorded) == 1


def test_lack_of_memory_while_recording_halves_the_batches(
    ending_policy: Callable[[str], Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ending_policy("marian")
    expected = run(policy, SAMPLE)
    rows: list[int] = []

    def record(work: Work) -> Work:
        rows.append(0)
        if len(rows) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tape.record(work)

    monkeypatch.setitem(RECORDERS, "cpu", lambda device: record)
    monkeypatch.setattr(recording.torch.cuda, "empty_cache", lambda: None)
    policy.cuda_graphs = True
    with pytest.warns(UserWarning, match=r"not enough memory .* going on with 2"):
        found = run(policy, SAMPLE)
    assert_same(found, expected)
    assert len(rows) > 2
