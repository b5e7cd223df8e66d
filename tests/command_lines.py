"""Shell lines that words for people show, taken apart."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer

from pipelines.cli import app

OPERATORS = {"&&", "||", "|", ";", "<", ">", ">>"}
REDIRECTIONS = {"<", ">", ">>"}


def fences(markdown: str) -> list[tuple[str, str]]:
    """List the fenced blocks of a page: language, text."""
    found = re.findall(r"^```(\S*)\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found]


def shell_lines(markdown: str) -> list[str]:
    """List the commands of a page's sh blocks, without comments."""
    texts = (text for language, text in fences(markdown) if language == "sh")
    lines = (re.sub(r"\s+# .*$", "", line) for text in texts for line in text.splitlines())
    return [line for line in lines if line]


def goa_calls(line: str) -> Iterator[list[str]]:
    """Give the arguments of each call of goa in a line, redirections and variables left out."""
    call: list[str] = []
    words = iter([*shlex.split(line), ";"])
    for word in words:
        if word in REDIRECTIONS:
            next(words)
        elif word in OPERATORS:
            if call and call[0] == "goa":
                yield call[1:]
            call = []
        elif call or "=" not in word:
            call.append(word)


def commands() -> dict[str, Any]:
    """Give the commands of goa by name."""
    found: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def parse(arguments: list[str]) -> None:
    """Read a call of goa as the command line does, and do nothing; raises where it is wrong."""
    if arguments[:1] == ["--help"]:
        return
    name, *rest = arguments
    if "--help" not in rest:
        commands()[name].make_context(name, rest)
