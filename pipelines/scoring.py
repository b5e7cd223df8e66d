"""Evaluators as stages use them: with a store before them and processes behind them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from goa.evaluators.contract import Evaluator
from goa.evaluators.scoring import ScoringService, ScoringSettings
from goa.evaluators.workers import Builder
from pipelines.stage import STATE

STORE = STATE / "rewards"
"""What evaluators said, for every later run; may be deleted at any time."""

Build = Callable[[str, Builder], Evaluator]


@contextmanager
def open_scoring(settings: ScoringSettings) -> Iterator[Build]:
    """Give what builds evaluators; at the end their processes stop and their stores close."""
    with ExitStack() as stack:

        def build(name: str, builder: Builder) -> Evaluator:
            folder = STORE if settings.store else None
            service = ScoringService(name, builder, settings, folder)
            stack.callback(service.close)
            return service

        yield build
