"""How many cases are generated.

``GOA_FUZZ=40 pytest tests/fuzzing`` generates forty times as many as the ordinary suite, and other
ones each time; without it they are few and always the same.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings

from goa.errors import GoaError

FACTOR = int(os.environ.get("GOA_FUZZ", "1"))
COUNTS: Counter[str] = Counter()
"""Cases that were run, by what they were thrown at."""


def fuzz(target: str, num_cases: int, **strategies: Any) -> Callable[..., Any]:
    """Run a test with so many generated cases, times the factor."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: Any, **named: Any) -> None:
            COUNTS[target] += 1
            test(*arguments, **named)

        told = settings(
            max_examples=num_cases * FACTOR,
            derandomize=FACTOR == 1,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        return told(given(**strategies)(counted))

    return decorate


def refusal(attempt: Callable[[], object], kind: type[GoaError] = GoaError) -> str | None:
    """Give the message that something is refused with; None where it is not refused."""
    try:
        attempt()
    except kind as error:
        return str(error)
    return None
