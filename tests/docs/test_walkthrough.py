"""The notebook that walks through a run does what it says."""

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.main import get_command

from pipelines.cli import app

PROJECT = Path(__file__).parents[2]
PATH = PROJECT / "docs/notebooks/walkthrough.ipynb"
SHELL = "%%bash\n"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    """Read the notebook as it is in the repository."""
    return nbformat.read(PATH, as_version=4)


def code(notebook: nbformat.NotebookNode) -> Iterator[str]:
    return (cell.source for cell in notebook.cells if cell.cell_type == "code")


def test_it_holds_no_outputs_and_is_well_formed(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_its_cells_compile_and_what_they_import_is_there(notebook: nbformat.NotebookNode) -> None:
    imported = 0
    for cell in code(notebook):
        if cell.startswith(SHELL):
            continue
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
                    imported += 1
    assert imported > 5


def test_its_command_lines_name_commands_and_options_that_goa_has(
    notebook: nbformat.NotebookNode,
) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = [
        line
        for cell in code(notebook)
        if cell.startswith(SHELL)
        for line in cell.removeprefix(SHELL).splitlines()
    ]
    assert lines
    for line in lines:
        words = line.split()
        assert words[0] == "goa"
        known = {
            option
            for parameter in commands[words[1]].params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<=\s)--[\w-]+", line)) <= known, line


@pytest.mark.long
def test_it_runs_to_its_end(
    notebook: nbformat.NotebookNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([binaries, os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    for name in [name for name in os.environ if name.startswith("PYTEST")]:
        monkeypatch.delenv(name)
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(PATH.parent)}}
    )
    client.execute()
    said = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "left " in said
    *_, by_transformers, by_goa, card, _ = [
        "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")
        for cell in notebook.cells
        if cell.cell_type == "code" and not cell.source.startswith('Path("sources.txt")')
    ]
    assert by_transformers.splitlines()[1] == by_goa.rstrip("\n")
    assert card.startswith("---\nlanguage:\n- en\n")
