"""Evaluators that a command is to work with, chosen by name."""

import difflib
from collections.abc import Mapping, Sequence

from goa.errors import SettingsError
from goa.evaluators.table import EvaluatorSettings
from pipelines.stage import PARAMS


def choose_evaluators(
    evaluators: Mapping[str, EvaluatorSettings], names: Sequence[str]
) -> dict[str, EvaluatorSettings]:
    """Take the named evaluators of params.yaml, in the order they are named; none means all.

    Raises:
        SettingsError: there is no evaluator of a name.
    """
    for name in names:
        if name not in evaluators:
            near = difflib.get_close_matches(name, evaluators, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(evaluators)}"
            raise SettingsError(f"{PARAMS}: no evaluator is called {name!r}; {hint}")
    return {name: evaluators[name] for name in names or evaluators}
