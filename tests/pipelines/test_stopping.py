"""Ctrl-C and TERM stop a stage at once, or where it has a good place; work is cancelled by TERM."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from pipelines.stopping import Stopped, StopRequest, until_told


@pytest.fixture(autouse=True)
def _deaf_to_what_is_sent_too_late() -> Iterator[None]:
    """Let no test end these tests: what nobody listens to is only noted."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_once_with_its_exit_code(number: int, code: int) -> None:
    with pytest.raises(Stopped) as stopped, StopRequest():
        send(number)
    assert stopped.value.exit_code == code


def test_while_it_is_deferred_the_body_goes_on_to_its_end() -> None:
    known = []

    def ask_twice(request: StopRequest) -> None:
        known.append(request.is_there)
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        known.append(request.is_there)

    with pytest.raises(Stopped) as stopped, StopRequest() as request, request.deferred():
        ask_twice(request)
    assert known == [False, True]
    assert stopped.value.exit_code == 143


def test_a_second_ctrl_c_does_not_wait() -> None:
    done = []

    def ask_twice() -> None:
        send(signal.SIGINT)
        done.append("first")
        send(signal.SIGINT)
        done.append("second")

    with pytest.raises(Stopped), StopRequest() as request, request.deferred():
        ask_twice()
    assert done == ["first"]


def test_what_nobody_asked_to_stop_goes_on_after_what_was_deferred() -> None:
    with StopRequest() as request, request.deferred():
        pass
    assert not request.is_there


def test_an_ignored_interrupt_stays_ignored_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest():
            send(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_no_except_exception_holds_it_up() -> None:
    assert not issubclass(Stopped, Exception)


def test_term_cancels_work_which_may_clear_up() -> None:
    cleared = []

    async def work() -> None:
        send(signal.SIGTERM)
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            cleared.append(True)

    with pytest.raises(Stopped) as stopped:
        asyncio.run(until_told(work()))
    assert cleared == [True]
    assert stopped.value.exit_code == 143


def test_work_that_ends_by_itself_gives_what_it_gives() -> None:
    async def work() -> int:
        return 3

    assert asyncio.run(until_told(work())) == 3
