"""What a page of Markdown is put together from."""

import re
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table that reads well unrendered too; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    widths[-1] = 0
    rule = ["-" * max(3, width) for width in widths]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, rule, *rows)
    ]
    return "\n".join(f"| {line} |" for line in lines)


def plain(text: str) -> str:
    """Keep a text from being read as Markdown, on one line."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_\[<>|~$&#])", r"\\\1", line) if line else "*(empty)*"
