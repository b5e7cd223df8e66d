"""The command that looks for what may go wrong."""
# ruff: noqa: PLC0415

import typer

commands = typer.Typer()
