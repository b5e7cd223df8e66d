"""What a command is to work with, chosen by name or by settings."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from goa.errors import SettingsError, excerpt
from goa.evaluators.table import EvaluatorSettings
from goa.yaml_text import parse_yaml
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


def read_choice(option: str, text: str) -> dict[str, Any]:
    """Read settings in braces, ``{kind: chrf, word_order: 2}``; a word alone is their kind.

    Args:
        option: where the text comes from, for messages.
        text: as it was given.

    Raises:
        SettingsError: it is not YAML.
    """
    if not text.startswith("{"):
        return {"kind": text}
    content: dict[str, Any] = parse_yaml(text, f"{option} {excerpt(text)}")
    return content
