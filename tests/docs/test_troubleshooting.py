"""The messages of docs/troubleshooting.md, against what the code says."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| .+? \| .+? \|$", PAGE, flags=re.MULTILINE)
MESSAGES = [found[1] for row in ROWS if (found := re.match(r"`([^`]+)`", row))]


@pytest.fixture(scope="module")
def said() -> str:
    """Give every text of the code, one after the other; what is filled in is an ellipsis."""
    trees = (
        ast.parse(path.read_text(encoding="utf-8"))
        for package in ("goa", "pipelines")
        for path in sorted((PROJECT / package).rglob("*.py"))
    )
    return "\n".join(text(node) for tree in trees for node in ast.walk(tree))


def text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return ""


def test_the_page_has_messages() -> None:
    assert len(MESSAGES) > 25


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_that_the_code_can_say(message: str, said: str) -> None:
    # What is filled in may be a name that the page spells out as the ellipsis, or leaves out.
    pattern = r"[^\n]*?".join(map(re.escape, message.split("…")))
    assert re.search(pattern, said)
