"""Which evaluators may choose among the candidates that a strategy draws."""

import difflib
from collections.abc import Mapping

from goa.decoding.settings import ChoosingSettings, MbrSettings
from goa.errors import SettingsError
from goa.evaluators.table import MetricSettings, Rewarding


def check_judge(
    where: str, strategy: ChoosingSettings, known: Mapping[str, MetricSettings]
) -> None:
    """Check that a strategy can choose by the evaluator that it names.

    What chooses among outputs by the references that they will be measured against is an oracle
    and no decoder; and what a source gets must not hang on the batch it is in, nor on chance.

    Args:
        where: the strategy's place, for messages.
        strategy: names the evaluator.
        known: evaluators and metrics by name.

    Raises:
        SettingsError: there is no such evaluator, or its scores hang on the wrong things.
    """
    judge = known.get(strategy.evaluator)
    problem = (
        _misjudges(strategy, judge)
        if isinstance(judge, Rewarding)
        else _missing(strategy.evaluator, known)
    )
    if problem is not None:
        raise SettingsError(f"{where}.evaluator: {strategy.evaluator!r} {problem}")


def _missing(name: str, known: Mapping[str, MetricSettings]) -> str:
    if name in known:
        return f"is of kind {known[name].kind}, which measures whole sets of outputs alone"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"is no name under evaluators or evaluate.metrics; {hint}"


def _misjudges(strategy: ChoosingSettings, judge: Rewarding) -> str | None:
    if "batch" in judge.hangs_on:
        return "compares the samples of a batch, so what a source gets would hang on the others"
    if "chance" in judge.hangs_on:
        return "draws at random, so a source would not get the same text twice"
    reads_references = "references" in judge.hangs_on
    if isinstance(strategy, MbrSettings) and not reads_references:
        return "reads no references, so no candidate can be held against another; use kind best_of"
    if not isinstance(strategy, MbrSettings) and reads_references:
        return (
            "reads references, which a decoder does not have; use an evaluator of the candidate "
            "and its source alone, or kind mbr, where the other candidates are the references"
        )
    return None
