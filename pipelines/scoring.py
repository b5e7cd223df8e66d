"""Evaluators as stages use them: with a store before them and processes behind them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from goa.evaluators.contract import Evaluator
from goa.evaluators.scoring import ScoringService, ScoringSettings
from goa.evaluators.workers import Builder
from pipelines.stage import STATE

STORE = STATE / "rewards"
"""What evaluators said, for every later run; may be deleted at any time."""

LEARNT = Path("out/evaluators")
"""What evaluators are and what they learnt: a folder each, written by the score stages."""

Build = Callable[[str, Builder], Evaluator]


@contextmanager
def open_scoring(settings: ScoringSettings, *, learnt: bool = True) -> Iterator[Build]:
    """Give what builds evaluators; at the end their processes stop and their stores close.

    Args:
        settings: how they are asked.
        learnt: whether those that learn have what they learnt in their score stages.
    """
    with ExitStack() as stack:

        def build(name: str, builder: Builder) -> Evaluator:
            folder = STORE if settings.store else None
            service = ScoringService(name, builder, settings, folder)
            stack.callback(service.close)
            if learnt:
                load_learnt(service)
            return service

        yield build


def load_learnt(evaluator: Evaluator) -> None:
    """Give an evaluator what it learnt in its score stage.

    Raises:
        EvaluatorError: it has not learnt there.
    """
    for learner in evaluator.learners():
        learner.load(LEARNT / evaluator.name)
