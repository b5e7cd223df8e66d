"""The command that looks for what may go wrong."""
# ruff: noqa: PLC0415

from typing import Annotated

import typer

from pipelines.commands import ROOT, examples

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa doctor",
        "goa doctor --json",
    )
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Look at versions, servers, database, GPUs, locks, orphans and disk; changes nothing.

    Exit code 1 when something will not work; warnings leave it at 0.
    """
    from rich.console import Console

    from pipelines.doctor import as_text, examine, findings_table, healthy

    found = examine(ROOT)
    if as_json:
        typer.echo(as_text(found))
    else:
        Console().print(findings_table(found))
    if not healthy(found):
        raise typer.Exit(1)
