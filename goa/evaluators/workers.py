"""Processes that score beside the one that asks."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from threading import Thread
from typing import NoReturn, Protocol

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, checked_score, show
from goa.records import Sample, Scores


class Builder(Protocol):
    """Settings of an evaluator: what a process builds its own from."""

    def build(self, name: str) -> Evaluator:
        """Build the evaluator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Samples on their way through a process."""

    samples: Sequence[Sample]
    """What is scored."""
    future: Future[Scores]
    """Where the scores come."""
    generation: int
    """How often the processes had been started afresh."""


class Workers:
    """A pool of processes, started once; each builds the evaluator for itself.

    They are started afresh after one of them died or was stopped for taking too long.
    """

    def __init__(self, name: str, builder: Builder, processes: int, timeout: float | None) -> None:
        """Set the pool up.

        Args:
            name: the evaluator's.
            builder: its settings.
            processes: how many there are, at least 1.
            timeout: seconds that a call may take, waiting included; None: any.
        """
        self.processes = processes
        self._name = name
        self._builder = builder
        self._timeout = timeout
        self._pool = self._start()
        self._generation = 0

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.processes,
            # A forked process would inherit torch's threads and a GPU it cannot use.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_build,
            initargs=(self._name, self._builder),
        )

    def submit(self, samples: Sequence[Sample]) -> Call:
        """Begin to score samples."""
        try:
            future = self._pool.submit(_score, list(samples))
        except BrokenProcessPool:
            self.restart()
            future = self._pool.submit(_score, list(samples))
        return Call(samples=samples, future=future, generation=self._generation)

    def wait(self, call: Call) -> Scores:
        """Wait for scores.

        Raises:
            EvaluatorError: the evaluator failed, died, or took too long.
        """
        while True:
            try:
                return call.future.result(self._timeout)
            except (BrokenProcessPool, CancelledError):
                if call.generation == self._generation:
                    self.restart()
                    self._fail(call, "died; was memory short?")
                call = self.submit(call.samples)  # another call ended the process
            except FutureTimeoutError:
                self.restart()
                self._fail(call, f"took longer than scoring.timeout, {self._timeout:g} s")

    def _fail(self, call: Call, what: str) -> NoReturn:
        raise EvaluatorError(
            f"evaluator {self._name}: the process that scored {len(call.samples)} samples, the "
            f"first of them {show(call.samples[0])}, {what}"
        ) from None

    def restart(self) -> None:
        """Stop all processes, at once, and start others."""
        self.stop()
        self._pool = self._start()
        self._generation += 1

    def stop(self) -> None:
        """Stop all processes, at once."""
        # Python 3.14 has kill_workers for this.
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


_evaluator: Evaluator
"""Of the process, where it is a worker."""


def _build(name: str, builder: Builder) -> None:
    global _evaluator  # noqa: PLW0603 - a worker has one evaluator for its whole life
    # Ctrl-C reaches all processes of a terminal; when a worker ends is for who asks it to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_the_parent, daemon=True).start()
    _evaluator = builder.build(name)


def _end_with_the_parent() -> None:
    """End this process when its parent is gone: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _score(samples: list[Sample]) -> Scores:
    return checked_score(_evaluator, samples)
