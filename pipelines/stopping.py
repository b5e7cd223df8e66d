"""A stage that is asked to stop: Ctrl-C, or the TERM that supervisors and schedulers send."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Value = TypeVar("Value")

ASKING = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Raised where a process was asked to stop; no ``except Exception`` holds it up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        """As shells have it: 130 after Ctrl-C, 143 after TERM."""


class StopRequest:
    """Turns INT and TERM into :class:`Stopped`, at once or when there is a good place for it.

    Use it as a context manager. What ignores a signal, as a shell's background jobs do with
    interrupts, goes on ignoring it.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        # Python hears signals in its main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in ASKING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def is_there(self) -> bool:
        """Say whether this process was asked to stop."""
        return self._asked is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the body go on until it stops by itself, or ends; a second Ctrl-C stops it at once.

        Raises:
            Stopped: at the end, where this process was asked to stop meanwhile.
        """
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.is_there:
            raise self.stopped()

    def stopped(self) -> Stopped:
        """Give what to raise; where only another process of the team was asked, TERM is taken."""
        return Stopped(self._asked or signal.SIGTERM)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        insists = self._asked == number == signal.SIGINT
        self._asked = self._asked or number
        if insists or not self._waits:
            raise Stopped(self._asked)


async def until_told(work: Coroutine[Any, Any, Value]) -> Value:
    """Await work, which TERM cancels; an interrupt does so by asyncio's own doing.

    Raises:
        Stopped: it was cancelled so, and has cleared up.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    task = asyncio.ensure_future(work)

    def stop() -> None:
        told.set()
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if told.is_set():
            raise Stopped(signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
