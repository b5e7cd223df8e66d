"""The commands of ``goa``, by what they are about.

What a command needs is imported inside it: ``goa --help`` and a mistyped option should not wait
for DVC, pydantic or MLflow.
"""

from pathlib import Path

ROOT = Path()
"""The project's folder: where the command was called."""
PARAMS = Path("params.yaml")


def examples(*lines: str) -> str:
    """Lay examples out for the end of a help page: a line each, with what a # says in a column."""
    parted = [line.partition("  # ")[::2] for line in lines]
    width = max((len(command) for command, comment in parted if comment), default=0)
    shown = [
        f"[bold]{command}[/bold]"
        + (f"{' ' * (width - len(command))}  # {comment}" if comment else "")
        for command, comment in parted
    ]
    return "\n".join(["Examples:", *shown])
