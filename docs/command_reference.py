"""The help page of every command of ``goa``, as a terminal of 80 columns shows it."""

import os
import re
from unittest.mock import patch

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.testing import CliRunner

from pipelines.cli import app


def command_names() -> list[str]:
    """Name the commands in the order of ``goa --help``."""
    group = typer.main.get_command(app)
    return list(group.commands)  # type: ignore[attr-defined]


def help_page(*command: str) -> str:
    """Give what ``goa COMMAND --help`` prints."""
    plain = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    with patch.dict(os.environ, plain):
        shown = CliRunner().invoke(app, [*command, "--help"], prog_name="goa").output
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()]
    return "\n".join(lines).strip("\n")


class CommandReference(SphinxDirective):
    """Puts a section for each command where the page says so."""

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown as part of the page."""
        parts = [f"## goa\n\n```text\n{help_page()}\n```\n"]
        parts += [f"## goa {name}\n\n```text\n{help_page(name)}\n```\n" for name in command_names()]
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
