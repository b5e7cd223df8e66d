"""What `goa --help` shows at every level, and that its examples can be typed."""

import re

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from pipelines.cli import app
from tests.command_lines import commands, goa_calls, parse

WIDTH = 80
PAGES = ["", *commands()]


def shown(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the lines of a help page in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERMINAL_WIDTH", str(WIDTH))
    done = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="goa")
    assert done.exit_code == 0
    return [line.rstrip() for line in Text.from_ansi(done.output).plain.splitlines()]


def examples(name: str) -> list[str]:
    """Give the examples of a command, comments included."""
    epilog = (commands()[name] if name else typer.main.get_command(app)).epilog
    heading, *lines = Text.from_markup(epilog or "").plain.splitlines()
    assert heading == "Examples:"
    return lines


@pytest.mark.parametrize("name", PAGES)
def test_a_help_page_ends_with_examples_of_its_command_each_on_a_line(name, monkeypatch) -> None:
    lines = shown(name, monkeypatch)
    place = lines.index(" Examples:")
    told = [line.removeprefix(" ") for line in lines[place + 1 :] if line]
    assert told == examples(name)
    assert all(name in line for line in told)
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("name", PAGES)
def test_every_example_is_a_call_that_goa_understands(name) -> None:
    for line in examples(name):
        calls = list(goa_calls(re.sub(r"\s+# .*$", "", line)))
        assert calls, line
        for call in calls:
            parse(call)


@pytest.mark.parametrize("line", ["goa runn", "goa run --slot 2", "goa score -c x"])
def test_an_example_that_goa_does_not_understand_is_seen(line) -> None:
    (call,) = goa_calls(line)
    with pytest.raises(Exception, match=r"runn|slot|evaluator"):
        parse(call)
